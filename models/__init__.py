"""Numbers to scores: artefacts, the store that checks them, ONNX sessions, forest export."""
