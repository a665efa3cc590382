from serverquant.runtime._plan import Step

GRID_MAX: int

def roi_step(
    columns: int,
    pooled_h: int,
    pooled_w: int,
    spatial_scale: float,
    *,
    sampling_ratio: int = ...,
    aligned: bool = ...,
    rotated: bool = ...,
    nhwc: bool = ...,
    pool: bool = ...,
) -> Step: ...
def roi_u8_step(
    columns: int,
    pooled_h: int,
    pooled_w: int,
    spatial_scale: float,
    sampling_ratio: int,
    scale: float,
    zero_point: int,
) -> Step: ...
