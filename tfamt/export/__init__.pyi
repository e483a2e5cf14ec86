from .onnx import export_onnx as export_onnx
from .onnx import run_onnx as run_onnx
from .saved_model import export_saved_model as export_saved_model
