# python/nhwc/torch/_modules.py -- torch's convolution layers on nhwc's kernels, and models that change over to them
from torch import Tensor, nn

from nhwc.torch import _functional


class _Named:
    def _get_name(self) -> str:
        return f"nhwc.{type(self).__name__}"  # in the printed model


class _Conv(_Named):
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = nn.functional.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return type(self)._function(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class _ConvTranspose(_Named):
    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, len(self.kernel_size), self.dilation
        )
        return type(self)._function(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )


class Conv1d(_Conv, nn.Conv1d):
    """``torch.nn.Conv1d`` with its arguments and parameters, computed by nhwc."""

    _function = staticmethod(_functional.conv1d)


class Conv2d(_Conv, nn.Conv2d):
    """``torch.nn.Conv2d`` with its arguments and parameters, computed by nhwc."""

    _function = staticmethod(_functional.conv2d)


class Conv3d(_Conv, nn.Conv3d):
    """``torch.nn.Conv3d`` with its arguments and parameters, computed by nhwc."""

    _function = staticmethod(_functional.conv3d)


class ConvTranspose1d(_ConvTranspose, nn.ConvTranspose1d):
    """``torch.nn.ConvTranspose1d`` with its arguments and parameters, computed by nhwc."""

    _function = staticmethod(_functional.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose, nn.ConvTranspose2d):
    """``torch.nn.ConvTranspose2d`` with its arguments and parameters, computed by nhwc."""

    _function = staticmethod(_functional.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose, nn.ConvTranspose3d):
    """``torch.nn.ConvTranspose3d`` with its arguments and parameters, computed by nhwc."""

    _function = staticmethod(_functional.conv_transpose3d)


_OURS = {
    getattr(nn, ours.__name__): ours
    for ours in (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def _change(model: nn.Module, classes: dict[type, type], who: str) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise TypeError(f"[{who}] expected a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        # The class alone: parameters, hooks, names and whoever refers to the module stay as they are.
        module.__class__ = classes.get(type(module), type(module))
    return model


def patch(model: nn.Module) -> nn.Module:
    """Lets nhwc compute the convolutions of a torch model: its ``nn.Conv1d`` to ``nn.ConvTranspose3d``.

    The model is changed in place; parameters, names, hooks, optimizers and saved weights keep their meaning. Subclasses
    of those layers stay: what they compute is their own. A model and images in ``channels_last`` spare the copies:
    ``patch(model.to(memory_format=torch.channels_last))``.

    Args:
        model (torch.nn.Module): any, a single layer too.

    Returns:
        torch.nn.Module: the same object.

    Raises:
        TypeError: no module.

    Example:
        >>> patch(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()))
        Sequential(
          (0): nhwc.Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
          (1): ReLU()
        )
    """
    return _change(model, _OURS, "patch")


def unpatch(model: nn.Module) -> nn.Module:
    """Undoes ``patch``: torch computes the convolutions again.

    Args:
        model (torch.nn.Module): any, a single layer too.

    Returns:
        torch.nn.Module: the same object.

    Raises:
        TypeError: no module.

    Example:
        >>> unpatch(patch(torch.nn.Conv2d(3, 8, 3)))
        Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
    """
    return _change(model, _THEIRS, "unpatch")
