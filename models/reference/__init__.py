"""What `make_sample_call.py` needs."""
