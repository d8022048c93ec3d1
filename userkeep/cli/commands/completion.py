"""`userkeep completion`."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print a shell completion script.

    \b
    userkeep completion bash > ~/.local/share/bash-completion/completions/userkeep
    userkeep completion zsh > ~/.zfunc/_userkeep
    userkeep completion fish > ~/.config/fish/completions/userkeep.fish
    """
    script_class = get_completion_class(shell)
    if script_class is None:
        raise click.BadParameter(f"{shell} is not supported.")
    root = context.find_root().command
    click.echo(script_class(root, {}, "userkeep", "_USERKEEP_COMPLETE").source())
