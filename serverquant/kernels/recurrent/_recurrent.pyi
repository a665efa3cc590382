import numpy as np

def rows() -> list: ...
def py_lstm_unit(
    h_before: np.ndarray,
    c_before: np.ndarray,
    gates: np.ndarray,
    lengths: np.ndarray | None,
    h: np.ndarray,
    c: np.ndarray,
    step: int,
    drop: bool,
    forget_bias: float,
) -> None: ...
def py_gru_unit(
    h_before: np.ndarray, gates: np.ndarray, lengths: np.ndarray | None, h: np.ndarray, step: int, drop: bool
) -> None: ...
