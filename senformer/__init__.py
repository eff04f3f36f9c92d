"""What happens to Enformer when its self-attention becomes BigBird's sparse attention."""

import os

from senformer.xla_flags import keep_reductions_in_xla

keep_reductions_in_xla(os.environ)
