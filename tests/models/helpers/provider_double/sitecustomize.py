"""A double of ONNX Runtime with providers that are listed and do not run, in the ways real ones do.

On PYTHONPATH it is in force in every Python process, with PROVIDERS="CUDA=kernel Tensorrt=works".
"""

import os
import signal
import sys
import time

import numpy as np
import onnxruntime

FAIL = onnxruntime.capi.onnxruntime_pybind11_state.Fail
Real, real_listing = onnxruntime.InferenceSession, onnxruntime.get_available_providers
SUFFIX = "ExecutionProvider"
TEXTS = {
    "driver": "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 35: CUDA driver version is "
    "insufficient for CUDA runtime version ; GPU=0 ; hostname=board",
    "kernel": "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv "
    "node. Name:'' Status Message: CUDA error cudaErrorNoKernelImageForDevice:no kernel image is "
    "available for execution on the device\n",
    "library": "/onnxruntime/capi/libonnxruntime_providers_cuda.so: libcudart.so.12: cannot open "
    "shared object file: No such file or directory",
}


def modes():
    """How each provider of the double behaves, by its name."""
    return dict(item.split("=") for item in os.environ.get("PROVIDERS", "").split())


def listing():
    return [*(f"{name}{SUFFIX}" for name in modes()), *real_listing()]


class Session(Real):
    """Runs on the CPU and behaves like the first provider asked for."""

    def __init__(self, graph, options=None, *, providers=(), **rest):
        names = [name for name, _ in providers]
        self.first = names[0].removesuffix(SUFFIX) if names else "CPU"
        self.mode = modes().get(self.first, "works")
        if self.mode == "driver":
            raise FAIL(TEXTS["driver"])
        if self.mode == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.mode == "library":
            sys.stderr.write(TEXTS["library"] + "\n")
        super().__init__(graph, options, providers=[f"CPU{SUFFIX}"], **rest)

    def get_providers(self):
        own = super().get_providers()
        return (
            own
            if self.mode == "library" or self.first == "CPU"
            else [f"{self.first}{SUFFIX}", *own]
        )

    def run(self, *arguments):
        if self.mode == "kernel":
            raise FAIL(TEXTS["kernel"])
        if self.mode == "hang":
            time.sleep(3_600)
        scores = super().run(*arguments)
        return [np.float32(each + 0.01) for each in scores] if self.mode == "wrong" else scores


if modes():
    onnxruntime.InferenceSession, onnxruntime.get_available_providers = Session, listing
