"""completion: what a shell needs to complete our commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from scaleout_cfn.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, options, and names.

    It is for the program as it is installed, scaleout-cfn. Services, jobs, environments and their stacks are those of
    the config file that the line names, or of scaleout.toml; nothing at AWS is asked. The next shell has it.

    \b
    Where it belongs:
      bash  ~/.local/share/bash-completion/completions/scaleout-cfn
      zsh   a folder of your $fpath, as _scaleout-cfn
      fish  ~/.config/fish/completions/scaleout-cfn.fish
    """
    from scaleout_cfn.cli import cli

    script = get_completion_class(shell)
    assert script is not None  # click has all three
    try:
        click.echo(script(cli, {}, "scaleout-cfn", "_SCALEOUT_CFN_COMPLETE").source())
    except RuntimeError as error:  # a bash before 4.4 has no way to complete by
        raise UsageError(f"completion {shell}: {error}") from None
