"""Numbers to scores: artefacts, the store that checks them, ONNX sessions, forest export."""

import os

# ONNX Runtime from 1.29 on sends its maker what it runs, unless this says otherwise before it is
# loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
