"""What happens to Enformer when its self-attention becomes BigBird's sparse attention."""

import os

from senformer.tf_environment import prepare

prepare(os.environ)
