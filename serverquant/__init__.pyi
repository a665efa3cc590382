from serverquant import core as core
from serverquant import proto as proto
from serverquant import workspace as workspace
from serverquant._base._threads import get_num_threads as get_num_threads
from serverquant._base._threads import set_num_threads as set_num_threads
from serverquant._base.errors import ServerquantError as ServerquantError
from serverquant.blobs.store import Int8 as Int8
from serverquant.predictor import Predictor as Predictor
from serverquant.predictor import load as load
from serverquant.quantization.calibrate import CalibrationWarning as CalibrationWarning
from serverquant.quantization.calibrate import calibrate as calibrate
from serverquant.quantization.compare import compare as compare
from serverquant.quantization.estimate import GainWarning as GainWarning
from serverquant.quantization.images import images as images
from serverquant.quantization.ptq import quantize as quantize
from serverquant.runtime._native import register_native as register_native
from serverquant.runtime.observe import Profile as Profile
from serverquant.runtime.observe import observe as observe
from serverquant.runtime.operator import Operator as Operator
from serverquant.runtime.operator import PythonOperator as PythonOperator
from serverquant.runtime.options import options as options
from serverquant.runtime.registry import register as register

__version__: str

def get_include() -> str: ...
