"""What happens to Enformer when its self-attention becomes BigBird's sparse attention."""

import os

from senformer.host_memory import keep_memory
from senformer.xla_flags import keep_reductions_in_xla

keep_memory(os.environ)
keep_reductions_in_xla(os.environ)
