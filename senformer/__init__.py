"""What happens to Enformer when its self-attention becomes BigBird's sparse attention."""
