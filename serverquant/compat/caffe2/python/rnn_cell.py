"""Cells of recurrent nets, and layers made of them. A cell is applied to one step; RecurrentNetwork runs the steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

from serverquant import core
from serverquant.compat.caffe2.python import attention, brew, recurrent
from serverquant.compat.caffe2.python.attention import AttentionType
from serverquant.compat.caffe2.python.model_helper import ModelHelper
from serverquant.compat.caffe2.python.modeling import initializers


def _scoped(blob: Any) -> Any:
    """A plain name means one of the present scope, wherever it is used."""
    return core.ScopedBlobReference(blob) if isinstance(blob, str) else blob


class RNNCell:
    """One step: input and states to new states. Subclasses have `_apply` and `get_state_names`.

    name: what the blobs' names begin with. initializer: its `create_states(model)` makes initial states when none are
    given.
    """

    def __init__(self, name: str | None = None, forward_only: bool = False, initializer: Any = None):
        self.name, self.forward_only, self.initializer = name, forward_only, initializer

    def scope(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name

    def apply_over_sequence(
        self,
        model: Any,
        inputs: Any,
        seq_lengths: Any = None,
        initial_states: Any = None,
        outputs_with_grads: Any = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        """The output of all steps, and all steps and the last one of every state."""
        if initial_states is None:
            initial_states = self.initializer.create_states(model)
        step, sequence, input_t, timestep, before, after = self._step(model, inputs, seq_lengths)
        results = recurrent.recurrent_net(
            net=model.net,
            cell_net=step.net,
            inputs=[(input_t, sequence)],
            initial_cell_inputs=list(zip(before, map(_scoped, initial_states))),
            links=dict(zip(before, after)),
            timestep=timestep,
            scope=self.name,
        )
        return self._prepare_output_sequence(model, results), results

    def _step(self, model: Any, inputs: Any, seq_lengths: Any) -> tuple[Any, Any, Any, Any, list[Any], list[Any]]:
        """A model of one step, the sequence that it runs over, and its blobs."""
        sequence, seq_lengths = self.prepare_input(model, _scoped(inputs)), _scoped(seq_lengths)
        step = ModelHelper(name=self.name, param_model=model)
        input_t, timestep = step.net.AddScopedExternalInputs("input_t", "timestep")
        names = [f"{name}_prev" for name in self.get_state_names()]
        before = [step.net.AddScopedExternalInputs(name) for name in names]
        after = list(self._apply(step, input_t, seq_lengths, before, timestep))
        step.net.AddExternalOutputs(*after)
        return step, sequence, input_t, timestep, before, after

    def apply(self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any) -> Any:
        """One step on an input as it comes."""
        return self._apply(model, self.prepare_input(model, input_t), seq_lengths, states, timestep)

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> Any:
        raise NotImplementedError

    def get_state_names(self) -> list[str]:
        raise NotImplementedError

    gates = 0
    input_size = hidden_size = 0

    def prepare_input(self, model: Any, input_blob: Any) -> Any:
        """What can be done of the sequence at once: the input's part of the gates."""
        if not self.gates:
            return input_blob
        return brew.fc(
            model, input_blob, self.scope("i2h"), dim_in=self.input_size, dim_out=self.gates * self.hidden_size, axis=2
        )

    def get_output_state_index(self) -> int:
        """Which state is the output."""
        return 0

    def get_output_dim(self) -> int:
        return self.hidden_size

    def _prepare_output(self, model: Any, states: Any) -> Any:
        return states[self.get_output_state_index()]

    def _prepare_output_sequence(self, model: Any, state_outputs: Any) -> Any:
        return state_outputs[2 * self.get_output_state_index()]


def cell_unit(
    cell: Any, net: Any, unit: str, inputs: list[Any], seq_lengths: Any, timestep: Any, outputs: list[str]
) -> Any:
    """The operator at a cell's end, LSTMUnit or GRUUnit."""
    more = [timestep] if seq_lengths is None else [seq_lengths, timestep]
    return getattr(net, unit)(
        inputs + more,
        [cell.scope(name) for name in outputs],
        forget_bias=cell.forget_bias,
        drop_states=cell.drop_states,
        sequence_lengths=seq_lengths is not None,
    )


class LSTMInitializer:
    """Initial states of zeros, as parameters."""

    names: tuple[str, ...] = ("initial_hidden_state", "initial_cell_state")

    def __init__(self, hidden_size: int, cell: Any = None):
        self.hidden_size, self.cell = hidden_size, cell

    def create_states(self, model: Any) -> list[Any]:
        zero = initializers.Initializer("ConstantFill", value=0.0)
        names = [self.cell.scope(name) if self.cell else name for name in self.names]
        return [model.create_param(name, [self.hidden_size], zero) for name in names]


class BasicInitializer(LSTMInitializer):
    names = ("initial_hidden_state",)


class LSTMCell(RNNCell):
    """Gates in the order input, forget, output, cell."""

    gates = 4
    outputs = ("hidden_state", "cell_state")
    normed = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 0.0,
        memory_optimization: bool = False,
        drop_states: bool = False,
        initializer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(initializer=initializer or LSTMInitializer(hidden_size, self), **kwargs)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.forget_bias, self.drop_states = float(forget_bias), drop_states

    def _recurrent(self, model: Any, before: Any, extra_inputs: Any, name: str) -> Any:
        """The states' part of the gates; extra inputs are taken as more of the state."""
        size = self.hidden_size
        if extra_inputs:
            blobs, dims = zip(*extra_inputs)
            size += sum(dims)
            joined = self.scope("gates_concatenated_input_t")
            before, _ = model.net.Concat([before, *blobs], [joined, f"{joined}_concat_dims"], axis=2)
        return brew.fc(model, before, self.scope(name), dim_in=size, dim_out=self.gates * self.hidden_size, axis=2)

    def _gates(self, model: Any, input_t: Any, before: Any, extra_inputs: Any) -> Any:
        gates = self._recurrent(model, before, extra_inputs, "gates_t")
        return model.net.Sum([gates, input_t], gates)

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> Any:
        gates = self._gates(model, input_t, states[0], extra_inputs)
        if self.normed:
            width = self.gates * self.hidden_size
            made = brew.layer_norm(model, gates, self.scope("gates_t_norm"), dim_in=width, axis=-1)
            gates = made[0] if isinstance(made, (list, tuple)) else made
        return cell_unit(self, model.net, "LSTMUnit", [*states, gates], seq_lengths, timestep, list(self.outputs))

    def get_state_names(self) -> list[str]:
        return [self.scope("hidden_t"), self.scope("cell_t")]

    def get_input_params(self) -> dict[str, str]:
        return {"weights": self.scope("i2h_w"), "biases": self.scope("i2h_b")}

    def get_recurrent_params(self) -> dict[str, str]:
        return {"weights": self.scope("gates_t_w"), "biases": self.scope("gates_t_b")}


class LayerNormLSTMCell(LSTMCell):
    """With gates that are normalized."""

    outputs = ("hidden_t", "cell_t")
    normed = True


class MILSTMCell(LSTMCell):
    """Gates = alpha * W x * U h + beta1 * U h + beta2 * W x + b."""

    outputs = ("hidden_t_intermediate", "cell_t")

    def _gates(self, model: Any, input_t: Any, before: Any, extra_inputs: Any) -> Any:
        net, scope = model.net, self.scope
        previous = self._recurrent(model, before, extra_inputs, "prev_t")
        alpha, beta1, beta2, b = (
            model.create_param(
                scope(name), [self.gates * self.hidden_size], initializers.Initializer("ConstantFill", value=value)
            )
            for name, value in (("alpha", 1.0), ("beta1", 1.0), ("beta2", 1.0), ("b", 0.0))
        )
        scaled = net.ElementwiseLinear([input_t, alpha, beta1], scope("alpha_by_input_t_plus_beta_h"), axis=2)
        product = net.Mul([scaled, previous], scope("alpha_by_input_t_plus_beta_h_by_prev_t"))
        rest = net.ElementwiseLinear([input_t, beta2, b], scope("beta_i_by_input_t_plus_b"), axis=2)
        return net.Sum([product, rest], scope("gates_t"))

    def get_recurrent_params(self) -> dict[str, str]:
        return {"weights": self.scope("prev_t_w"), "biases": self.scope("prev_t_b")}


class LayerNormMILSTMCell(MILSTMCell):
    """With gates that are normalized."""

    normed = True


class BasicRNNCell(LSTMCell):
    """h = activation(W x + U h'); activation: tanh or relu."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, *args: Any, activation: str | None = None, **kwargs: Any):
        super().__init__(input_size, hidden_size, *args, **kwargs)
        if activation not in ("tanh", "relu"):
            raise ValueError(f"the activation must be tanh or relu, not {activation}")
        self.activation = activation
        if isinstance(self.initializer, LSTMInitializer):
            self.initializer = BasicInitializer(self.hidden_size, self)

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> Any:
        net, scope, (before,) = model.net, self.scope, states
        gates = self._gates(model, input_t, before, extra_inputs)
        hidden = (net.Tanh if self.activation == "tanh" else net.Relu)(gates, scope("hidden_t"))
        if seq_lengths is None:
            return [hidden]
        valid = net.Cast(net.GT([seq_lengths, timestep], scope("is_valid"), broadcast=1), scope("valid"), to="float")
        kept = net.Mul([hidden, valid], scope("hidden_t_valid"), broadcast=1, axis=1)
        if self.drop_states:
            return [kept]
        over = net.LE([seq_lengths, timestep], scope("is_over"), broadcast=1)
        over = net.Cast(over, scope("over"), to="float")
        old = net.Mul([before, over], scope("hidden_t_old"), broadcast=1, axis=1)
        return [net.Add([kept, old], scope("hidden_t_masked"))]

    def get_state_names(self) -> list[str]:
        return [self.scope("hidden_t")]


class MultiRNNCell(RNNCell):
    """Cells one on the other. residual_output_layers: those whose output is added to that of the cell below."""

    def __init__(self, cells: Sequence[Any], residual_output_layers: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.cells = list(cells)
        self.residual_output_layers = set(residual_output_layers or ())
        counts = [len(cell.get_state_names()) for cell in self.cells]
        self.begins = [sum(counts[:i]) for i in range(len(counts) + 1)]
        self.output_indices = [begin + cell.get_output_state_index() for begin, cell in zip(self.begins, self.cells)]
        self.initializer = self.initializer or self

    def create_states(self, model: Any) -> list[Any]:
        states = []
        for i, cell in enumerate(self.cells):
            with self._layer(i):
                states += cell.initializer.create_states(model)
        return states

    @contextlib.contextmanager
    def _layer(self, i: int) -> Any:
        with core.NameScope(self.name or ""), core.NameScope(f"layer_{i}"):
            yield

    def prepare_input(self, model: Any, input_blob: Any) -> Any:
        with core.NameScope(self.name or ""):
            return self.cells[0].prepare_input(model, input_blob)

    def _states(self, i: int, states: Any) -> Any:
        return states[self.begins[i] : self.begins[i + 1]]

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> Any:
        made: list[Any] = []
        output = None
        for i, cell in enumerate(self.cells):
            with self._layer(i):
                layer_input = input_t if output is None else cell.prepare_input(model, output)
                more = {"extra_inputs": None if i else extra_inputs}
                new = cell._apply(model, layer_input, seq_lengths, self._states(i, states), timestep, **more)
                made += list(new)
                output = self._with_residual(model, i, output, cell._prepare_output(model, new), "residual")
        return made

    def _with_residual(self, model: Any, i: int, below: Any, output: Any, name: str) -> Any:
        return model.net.Sum([output, below], name) if i in self.residual_output_layers else output

    def get_state_names(self) -> list[str]:
        names = []
        for i, cell in enumerate(self.cells):
            layer = f"{self.name}/layer_{i}" if self.name else f"layer_{i}"
            names += [f"{layer}/{name}" for name in cell.get_state_names()]
        return names

    def get_output_state_index(self) -> int:
        return self.output_indices[-1]

    def get_output_dim(self) -> int:
        dim: int = self.cells[-1].get_output_dim()
        return dim

    def _prepare_output(self, model: Any, states: Any) -> Any:
        return self._joined(model, [states[i] for i in self.output_indices], "output")

    def _prepare_output_sequence(self, model: Any, state_outputs: Any) -> Any:
        return self._joined(model, [state_outputs[2 * i] for i in self.output_indices], "output_sequence")

    def _joined(self, model: Any, outputs: list[Any], name: str) -> Any:
        """The last layer's output with those that residual connections add to it."""
        first = len(outputs) - 1
        while first in self.residual_output_layers:
            first -= 1
        return model.net.Sum(outputs[first:], self.scope(name)) if first < len(outputs) - 1 else outputs[-1]


class AttentionCell(RNNCell):
    """A decoder cell that looks at an encoder's outputs, (steps, N, dim)."""

    def __init__(
        self,
        encoder_output_dim: int,
        encoder_outputs: Any,
        encoder_lengths: Any,
        decoder_cell: Any,
        decoder_state_dim: int,
        attention_type: int,
        weighted_encoder_outputs: Any,
        attention_memory_optimization: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoder_output_dim, self.encoder_outputs = encoder_output_dim, _scoped(encoder_outputs)
        self.encoder_lengths, self.weighted_encoder_outputs = map(_scoped, (encoder_lengths, weighted_encoder_outputs))
        self.decoder_cell, self.decoder_state_dim = decoder_cell, decoder_state_dim
        if attention_type not in range(4):
            raise ValueError(f"there is no attention type {attention_type}")
        self.attention_type = attention_type
        self.covers = attention_type == AttentionType.SoftCoverage
        self.encoder_outputs_transposed: Any = None
        self.coverage_weights: Any = None
        self.weights: Any = None

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> Any:
        states = list(states)
        covered = states.pop() if self.covers else None
        before = states.pop()
        context_input = [*(extra_inputs or ()), (before, self.encoder_output_dim)]
        new = list(self.decoder_cell._apply(model, input_t, seq_lengths, states, timestep, context_input))
        hidden = self.decoder_cell._prepare_output(model, new)
        looked = self._look(model, hidden, before, covered)
        self.weights = looked[1]
        new[self.decoder_cell.get_output_state_index()] = model.net.Copy(hidden, self.scope("hidden_t_external"))
        return [*new, looked[0], *looked[3:]]

    def _look(self, model: Any, hidden: Any, before: Any, covered: Any) -> Any:
        kwargs: dict[str, Any] = {
            "model": model,
            "encoder_output_dim": self.encoder_output_dim,
            "encoder_outputs_transposed": self.encoder_outputs_transposed,
            "decoder_hidden_state_t": hidden,
            "decoder_hidden_state_dim": self.decoder_state_dim,
            "scope": self.name,
            "encoder_lengths": self.encoder_lengths,
        }
        if self.attention_type == AttentionType.Dot:
            return attention.apply_dot_attention(**kwargs)
        kwargs["weighted_encoder_outputs"] = self.weighted_encoder_outputs
        if self.attention_type == AttentionType.Recurrent:
            return attention.apply_recurrent_attention(attention_weighted_encoder_context_t_prev=before, **kwargs)
        if self.covers:
            kwargs.update(coverage_t_prev=covered, coverage_weights=self.coverage_weights)
            return attention.apply_soft_coverage_attention(**kwargs)
        return attention.apply_regular_attention(**kwargs)

    def get_attention_weights(self) -> Any:
        """Of the step that has been built, (N, steps, 1)."""
        return self.weights

    def _encoder_layer(self, model: Any, name: str) -> Any:
        dim = self.encoder_output_dim
        return brew.fc(model, self.encoder_outputs, self.scope(name), dim_in=dim, dim_out=dim, axis=2)

    def prepare_input(self, model: Any, input_blob: Any) -> Any:
        if self.encoder_outputs_transposed is None:
            name = self.scope("encoder_outputs_transposed")
            self.encoder_outputs_transposed = model.net.Transpose(self.encoder_outputs, name, axes=[1, 2, 0])
        if self.weighted_encoder_outputs is None and self.attention_type != AttentionType.Dot:
            self.weighted_encoder_outputs = self._encoder_layer(model, "weighted_encoder_outputs")
        return self.decoder_cell.prepare_input(model, input_blob)

    def build_initial_coverage(self, model: Any) -> Any:
        """Weights of the coverage, and a coverage of zeros: the last initial state."""
        self.coverage_weights = self._encoder_layer(model, "coverage_weights")
        steps = model.net.Slice(model.net.Shape(self.encoder_outputs), starts=[0], ends=[1])
        return model.net.ConstantFill(steps, self.scope("initial_coverage"), value=0.0, input_as_shape=1)

    def get_state_names(self) -> list[str]:
        names = list(self.decoder_cell.get_state_names())
        names[self.get_output_state_index()] = self.scope("hidden_t_external")
        names.append(self.scope("attention_weighted_encoder_context_t"))
        return names + [self.scope("coverage_t")] * self.covers

    def get_output_dim(self) -> int:
        return self.decoder_state_dim + self.encoder_output_dim

    def get_output_state_index(self) -> int:
        index: int = self.decoder_cell.get_output_state_index()
        return index

    def _join(self, model: Any, blobs: list[Any]) -> Any:
        name = self.scope("states_and_context_combination")
        return model.net.Concat(blobs, [name, f"{name}_concat_dims"], axis=2)[0]

    def _prepare_output(self, model: Any, states: Any) -> Any:
        return self._join(model, [states[self.get_output_state_index()], states[-2 if self.covers else -1]])

    def _prepare_output_sequence(self, model: Any, state_outputs: Any) -> Any:
        state, context = state_outputs[2 * self.get_output_state_index()], state_outputs[-4 if self.covers else -2]
        return self._join(model, [state, context])


def _attention_cell(decoder: Any) -> Any:
    """A constructor of an AttentionCell over a decoder of that class."""

    def build(
        encoder_output_dim: int,
        encoder_outputs: Any,
        decoder_input_dim: int,
        decoder_state_dim: int,
        name: str | None,
        attention_type: int,
        weighted_encoder_outputs: Any,
        forget_bias: float,
        lstm_memory_optimization: bool,
        attention_memory_optimization: bool,
        forward_only: bool = False,
        encoder_lengths: Any = None,
    ) -> AttentionCell:
        cell = decoder(
            input_size=decoder_input_dim,
            hidden_size=decoder_state_dim,
            forget_bias=forget_bias,
            memory_optimization=lstm_memory_optimization,
            name=f"{name}/decoder" if name else "decoder",
            forward_only=forward_only,
        )
        return AttentionCell(
            encoder_output_dim,
            encoder_outputs,
            encoder_lengths,
            cell,
            decoder_state_dim,
            attention_type,
            weighted_encoder_outputs,
            attention_memory_optimization,
            name=name,
            forward_only=forward_only,
        )

    return build


LSTMWithAttentionCell = _attention_cell(LSTMCell)
MILSTMWithAttentionCell = _attention_cell(MILSTMCell)


class DropoutCell(RNNCell):
    """A cell with dropout on its output, in training."""

    def __init__(self, internal_cell: Any, dropout_ratio: float | None = None, use_cudnn: bool = False, **kwargs: Any):
        self.is_test = kwargs.pop("is_test", True)
        super().__init__(**kwargs)
        self.internal_cell, self.dropout_ratio = internal_cell, dropout_ratio
        self.initializer = self.initializer or internal_cell.initializer
        self.prepare_input = internal_cell.prepare_input  # type: ignore[method-assign]
        self.get_state_names = internal_cell.get_state_names  # type: ignore[method-assign]
        self.get_output_state_index = internal_cell.get_output_state_index  # type: ignore[method-assign]
        self.get_output_dim = internal_cell.get_output_dim  # type: ignore[method-assign]

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> Any:
        return self.internal_cell._apply(model, input_t, seq_lengths, states, timestep, extra_inputs)

    def _dropped(self, model: Any, output: Any) -> Any:
        if not self.dropout_ratio or self.forward_only:
            return output
        name = self.scope("dropout")
        made = model.net.Dropout(output, [f"{output}_{name}", f"{output}_{name}_mask"], ratio=self.dropout_ratio,
                                 is_test=int(self.is_test))  # fmt: skip
        return made[0]

    def _prepare_output(self, model: Any, states: Any) -> Any:
        return self._dropped(model, self.internal_cell._prepare_output(model, states))

    def _prepare_output_sequence(self, model: Any, state_outputs: Any) -> Any:
        return self._dropped(model, self.internal_cell._prepare_output_sequence(model, state_outputs))


class UnrolledCell(RNNCell):
    """T steps of a cell one after the other in the net itself, instead of RecurrentNetwork."""

    def __init__(self, cell: Any, T: int):
        super().__init__(cell.name, cell.forward_only)
        self.cell, self.T = cell, T

    def apply_over_sequence(
        self,
        model: Any,
        inputs: Any,
        seq_lengths: Any = None,
        initial_states: Any = None,
        outputs_with_grads: Any = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        step, sequence, input_t, timestep, before, after = self.cell._step(model, inputs, seq_lengths)
        states = [str(_scoped(blob)) for blob in initial_states or self.cell.initializer.create_states(model)]
        parts = [core.ScopedName(f"{self.scope('input')}_timestep_{t}") for t in range(self.T)]
        model.net.Split(sequence, parts, axis=0)
        made = []
        for t, part in enumerate(parts):
            number = model.param_init_net.ConstantFill(
                [], f"timestep_{t}/timestep", value=t, shape=[1], dtype=core.DataType.INT32
            )
            given = dict(zip(map(str, before), states)) | {str(input_t): str(part), str(timestep): str(number)}
            inner = {name for op in step.net.Proto().op for name in op.output}
            model.net.AppendNet(step.net.Clone("", {**{name: f"timestep_{t}/{name}" for name in inner}, **given}))
            states = [f"timestep_{t}/{blob}" for blob in after]
            made.append(states)
        results: list[Any] = []
        for i, blob in enumerate(after):
            name = f"{blob}_concat"
            joined, _ = model.net.Concat([steps[i] for steps in made], [name, f"{name}_concat_dims"], axis=0)
            results += [joined, core.BlobReference(made[-1][i], model.net)]
        return self.cell._prepare_output_sequence(model, results), tuple(results)


def _LSTM(
    cell_class: Any,
    model: Any,
    input_blob: Any,
    seq_lengths: Any,
    initial_states: Any,
    dim_in: int,
    dim_out: Any,
    scope: str | None = None,
    outputs_with_grads: Any = (0,),
    return_params: bool = False,
    memory_optimization: bool = False,
    forget_bias: float = 0.0,
    forward_only: bool = False,
    drop_states: bool = False,
    return_last_layer_only: bool = True,
    static_rnn_unroll_size: int | None = None,
    **cell_kwargs: Any,
) -> Any:
    """Cells over a sequence (T, N, dim_in); dim_out: the size of a layer, or a list of sizes."""
    dims = list(dim_out) if isinstance(dim_out, (list, tuple)) else [dim_out]
    cells = [
        cell_class(
            input_size=size_in,
            hidden_size=size,
            forget_bias=forget_bias,
            memory_optimization=memory_optimization,
            name=scope if len(dims) == 1 else None,
            forward_only=forward_only,
            drop_states=drop_states,
            **cell_kwargs,
        )
        for size_in, size in zip([dim_in, *dims], dims)
    ]
    cell: Any = cells[0] if len(cells) == 1 else MultiRNNCell(cells, name=scope, forward_only=forward_only)
    if static_rnn_unroll_size is not None:
        cell = UnrolledCell(cell, static_rnn_unroll_size)
    _, results = cell.apply_over_sequence(model, input_blob, seq_lengths, initial_states)
    if return_last_layer_only:
        results = results[-2 * len(cells[-1].get_state_names()) :]
    if not return_params:
        return results
    return results, {"input": cells[0].get_input_params(), "recurrent": cells[0].get_recurrent_params()}


LSTM = functools.partial(_LSTM, LSTMCell)
BasicRNN = functools.partial(_LSTM, BasicRNNCell)
MILSTM = functools.partial(_LSTM, MILSTMCell)
LayerNormLSTM = functools.partial(_LSTM, LayerNormLSTMCell)
LayerNormMILSTM = functools.partial(_LSTM, LayerNormMILSTMCell)


def LSTMWithAttention(
    model: Any,
    decoder_inputs: Any,
    decoder_input_lengths: Any,
    initial_decoder_hidden_state: Any,
    initial_decoder_cell_state: Any,
    initial_attention_weighted_encoder_context: Any,
    encoder_output_dim: int,
    encoder_outputs: Any,
    encoder_lengths: Any,
    decoder_input_dim: int,
    decoder_state_dim: int,
    scope: str | None,
    attention_type: int = AttentionType.Regular,
    outputs_with_grads: Any = (0, 4),
    weighted_encoder_outputs: Any = None,
    lstm_memory_optimization: bool = False,
    attention_memory_optimization: bool = False,
    forget_bias: float = 0.0,
    forward_only: bool = False,
) -> Any:
    """An LSTM decoder that looks at the encoder's outputs: all steps and the last one of each of its states."""
    cell = LSTMWithAttentionCell(
        encoder_output_dim=encoder_output_dim,
        encoder_outputs=encoder_outputs,
        encoder_lengths=encoder_lengths,
        decoder_input_dim=decoder_input_dim,
        decoder_state_dim=decoder_state_dim,
        name=scope,
        attention_type=attention_type,
        weighted_encoder_outputs=weighted_encoder_outputs,
        forget_bias=forget_bias,
        lstm_memory_optimization=lstm_memory_optimization,
        attention_memory_optimization=attention_memory_optimization,
        forward_only=forward_only,
    )
    states = [initial_decoder_hidden_state, initial_decoder_cell_state, initial_attention_weighted_encoder_context]
    if cell.covers:
        states.append(cell.build_initial_coverage(model))
    return cell.apply_over_sequence(model, decoder_inputs, decoder_input_lengths, states)[1]
