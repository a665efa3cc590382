"""Attention of a decoder's state over the outputs of an encoder."""

from __future__ import annotations

from typing import Any

from serverquant.compat.caffe2.python import brew


class AttentionType:
    Regular, Recurrent, Dot, SoftCoverage = range(4)


def _in_scope(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope else name


def _flat(model: Any, scope: str, name: str, blob: Any, dim_in: int, dim_out: int) -> Any:
    """A linear layer on (1, N, D), without the 1."""
    made = brew.fc(model, blob, _in_scope(scope, name), dim_in=dim_in, dim_out=dim_out, axis=2)
    return model.net.Squeeze(made, made, dims=[0])


def _logits(model: Any, scope: str, total: Any, dim: int) -> Any:
    """From sums of encoder and decoder: (N, steps, 1)."""
    total = model.net.Tanh(total, total)
    logits = brew.fc(model, total, _in_scope(scope, "attention_logits"), dim_in=dim, dim_out=1, axis=2)
    return model.net.Transpose(logits, _in_scope(scope, "attention_logits_transposed"), axes=[1, 0, 2])


def _context(model: Any, scope: str, logits: Any, outputs: Any, dim: int, lengths: Any) -> tuple[Any, Any]:
    """Outputs by their weights, (1, N, D), and the weights."""
    net = model.net
    if lengths is not None:
        logits = net.SequenceMask([logits, lengths], _in_scope(scope, "masked_attention_logits"), mode="sequence")
    weights = net.Softmax(logits, _in_scope(scope, "attention_weights_3d"), axis=1)
    name = _in_scope(scope, "attention_weighted_encoder_context")
    context = net.BatchMatMul([outputs, weights], name)
    context, _ = net.Reshape(context, [context, f"{name}_old_shape"], shape=[1, -1, dim])
    return context, weights


def _regular(
    model: Any, dim: int, encoder: Any, hidden: Any, hidden_dim: int, scope: str, before: Any = None
) -> tuple[Any, str]:
    """Encoder and decoder added up; before: the context of the step before, for recurrent attention."""
    decoder = _flat(model, scope, "weighted_decoder_hidden_state", hidden, hidden_dim, dim)
    if before is not None:
        decoder = model.net.Add([before, decoder], _in_scope(scope, "decoder_hidden_encoder_outputs_sum_tmp"))
    name = _in_scope(scope, "decoder_hidden_encoder_outputs_sum")
    return model.net.Add([encoder, decoder], name, broadcast=1), name


def apply_regular_attention(
    model: Any,
    encoder_output_dim: int,
    encoder_outputs_transposed: Any,
    weighted_encoder_outputs: Any,
    decoder_hidden_state_t: Any,
    decoder_hidden_state_dim: int,
    scope: str,
    encoder_lengths: Any = None,
) -> tuple[Any, Any, list[Any]]:
    """The context, the weights, and blobs that could be computed anew."""
    dim = encoder_output_dim
    total, _ = _regular(model, dim, weighted_encoder_outputs, decoder_hidden_state_t, decoder_hidden_state_dim, scope)
    logits = _logits(model, scope, total, dim)
    return *_context(model, scope, logits, encoder_outputs_transposed, dim, encoder_lengths), [total]


def apply_recurrent_attention(
    model: Any,
    encoder_output_dim: int,
    encoder_outputs_transposed: Any,
    weighted_encoder_outputs: Any,
    decoder_hidden_state_t: Any,
    decoder_hidden_state_dim: int,
    attention_weighted_encoder_context_t_prev: Any,
    scope: str,
    encoder_lengths: Any = None,
) -> tuple[Any, Any, list[Any]]:
    """Like apply_regular_attention, with the context of the step before."""
    dim = encoder_output_dim
    before = _flat(model, scope, "weighted_prev_attention_context", attention_weighted_encoder_context_t_prev, dim, dim)
    total, _ = _regular(
        model, dim, weighted_encoder_outputs, decoder_hidden_state_t, decoder_hidden_state_dim, scope, before
    )
    logits = _logits(model, scope, total, dim)
    return *_context(model, scope, logits, encoder_outputs_transposed, dim, encoder_lengths), [total]


def apply_dot_attention(
    model: Any,
    encoder_output_dim: int,
    encoder_outputs_transposed: Any,
    decoder_hidden_state_t: Any,
    decoder_hidden_state_dim: int,
    scope: str,
    encoder_lengths: Any = None,
) -> tuple[Any, Any, list[Any]]:
    """Products of the encoder's outputs and the state, which gets their size first."""
    net, dim = model.net, encoder_output_dim
    state = decoder_hidden_state_t
    if decoder_hidden_state_dim != dim:
        name = _in_scope(scope, "weighted_decoder_hidden_state")
        state = brew.fc(model, state, name, dim_in=decoder_hidden_state_dim, dim_out=dim, axis=2)
    state = net.Squeeze(state, _in_scope(scope, "squeezed_weighted_decoder_hidden_state"), dims=[0])
    state = net.ExpandDims(state, state, dims=[2])
    logits = net.BatchMatMul([encoder_outputs_transposed, state], _in_scope(scope, "attention_logits"), trans_a=1)
    return *_context(model, scope, logits, encoder_outputs_transposed, dim, encoder_lengths), []


def apply_soft_coverage_attention(
    model: Any,
    encoder_output_dim: int,
    encoder_outputs_transposed: Any,
    weighted_encoder_outputs: Any,
    decoder_hidden_state_t: Any,
    decoder_hidden_state_dim: int,
    scope: str,
    encoder_lengths: Any,
    coverage_t_prev: Any,
    coverage_weights: Any,
) -> tuple[Any, Any, list[Any], Any]:
    """Like apply_regular_attention, with what the steps before have looked at; last comes the new coverage."""
    net, dim = model.net, encoder_output_dim
    decoder = _flat(
        model, scope, "weighted_decoder_hidden_state", decoder_hidden_state_t, decoder_hidden_state_dim, dim
    )
    name = _in_scope(scope, "decoder_hidden_encoder_outputs_sum")
    total = net.Add([weighted_encoder_outputs, decoder], f"{name}_tmp", broadcast=1)
    covered = net.Squeeze(coverage_t_prev, _in_scope(scope, "coverage_t_prev_2d"), dims=[0])
    covered = net.Transpose(covered, _in_scope(scope, "coverage_t_prev_transposed"))
    scaled = net.Mul([coverage_weights, covered], _in_scope(scope, "scaled_coverage_weights"), broadcast=1, axis=0)
    total = net.Add([total, scaled], name)
    logits = _logits(model, scope, total, dim)
    context, weights = _context(model, scope, logits, encoder_outputs_transposed, dim, encoder_lengths)
    flat = net.Squeeze(weights, _in_scope(scope, "attention_weights_2d"), dims=[2])
    coverage = net.Add([coverage_t_prev, flat], _in_scope(scope, "coverage_t"), broadcast=1)
    return context, weights, [total], coverage
