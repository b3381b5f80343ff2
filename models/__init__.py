"""Numbers to scores: artefacts, the store that checks them, ONNX sessions, forest export."""

import os

# ONNX Runtime from 1.29 on sends telemetry, unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
