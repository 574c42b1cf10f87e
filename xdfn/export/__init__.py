"""A trained model in the forms of other tools. `to_...` gives an object of theirs and `from_...` makes a model of one;
`export_...` writes a file and `import_...` reads one. docs/exporting.md says what each of them covers.

onnx         to_onnx: for onnxruntime and others
torch        to_torch: an nn.Sequential; torch_reading: from_torch
sklearn      to_sklearn, from_sklearn, and to_coefs, from_coefs: scikit-learn's MLP, coefs_ and intercepts_
safetensors  export_safetensors, import_safetensors: the parameters alone, by their names
numpy        export_numpy: a Python file that needs NumPy alone
c            export_c: a C file and its header

models       what can be exported
program      a model as a few operations; operations: which these are; symbols: what an activation computes
printer      what ONNX, NumPy and C have in common; texts: what NumPy and C have
formats      the formats by name, and the errors
"""

from xdfn.export.c import export_c
from xdfn.export.numpy import export_numpy
from xdfn.export.onnx import OPSET, to_onnx
from xdfn.export.safetensors import export_safetensors, import_safetensors
from xdfn.export.sklearn import from_coefs, from_sklearn, to_coefs, to_sklearn
from xdfn.export.torch import to_torch
from xdfn.export.torch_reading import from_torch

__all__ = [
    "OPSET",
    "export_c",
    "export_numpy",
    "export_safetensors",
    "from_coefs",
    "from_sklearn",
    "from_torch",
    "import_safetensors",
    "to_coefs",
    "to_onnx",
    "to_sklearn",
    "to_torch",
]
