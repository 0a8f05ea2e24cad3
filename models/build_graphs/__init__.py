"""Builds Sotto's lean ONNX graphs out of published packages, and the manifest that goes with them."""
