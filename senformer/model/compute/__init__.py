"""Control how models are computed: devices, compilation, recomputation."""
