"""Names of the parts of a predictor in one file."""

from serverquant.proto import PredictorConsts

predictor_constants = PredictorConsts()
