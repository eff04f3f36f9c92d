"""Running the notebooks, and making a website of what they wrote."""
