"""`gpusched completion`: scripts for three shells, made from the parsers themselves."""

import argparse

from gpusched.cli.command import Command, Invocation
from gpusched.cli.index import INDEX
from gpusched.cli.parser import load, parser_of

_BASH = """\
_gpusched() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="" last="" one
  for one in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    [[ $one == -- ]] && return
    [[ $one != -* && $last != --socket && -z $command ]] && command=$one
    last=$one
  done
  local words=""
  case "$command $before" in
{values}
  *) case "$command" in
    "") words="{commands}" ;;
{flags}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _gpusched gpusched
"""
_ZSH = "#compdef gpusched\nautoload -U +X bashcompinit && bashcompinit\n"


def script(shell: str) -> str:
    """Give the completion script of `bash`, `zsh` or `fish`."""
    if shell == "fish":
        return "\n".join(_fish())
    text = _bash()
    return _ZSH + text if shell == "zsh" else text


def _options(name: str) -> list[argparse.Action]:
    """Give what a command takes, except what it hides."""
    actions: list[argparse.Action] = parser_of(name, load(name))._actions  # noqa: SLF001 - argparse has no other way
    return [one for one in actions if one.help != argparse.SUPPRESS]


def _words(actions: list[argparse.Action]) -> str:
    """Give the flags, and what may stand without one."""
    flags = [flag for one in actions for flag in one.option_strings]
    free = [str(word) for one in actions if not one.option_strings for word in one.choices or ()]
    return " ".join([*free, *flags])


def _bash() -> str:
    flags: list[str] = []
    values: list[str] = []
    for name in INDEX:
        actions = _options(name)
        flags.append(f'    {name}) words="{_words(actions)}" ;;')
        values += [
            f'  "{name} {flag}") words="{" ".join(map(str, one.choices))}" ;;'
            for one in actions
            for flag in one.option_strings
            if one.choices
        ]
    return _BASH.format(commands=" ".join(INDEX), flags="\n".join(flags), values="\n".join(values))


def _fish() -> list[str]:
    lines = ["complete -c gpusched -f"]
    for name, entry in INDEX.items():
        lines.append(
            f"complete -c gpusched -n __fish_use_subcommand -a {name} -d {_quoted(entry.summary)}"
        )
        seen = f"complete -c gpusched -n '__fish_seen_subcommand_from {name}'"
        for one in _options(name):
            choices = " ".join(map(str, one.choices or ()))
            takes = f" -x -a {_quoted(choices)}" if choices else ""
            lines += [
                f"{seen} -l {flag[2:]}{takes} -d {_quoted(str(one.help))}"
                for flag in one.option_strings
                if flag.startswith("--")
            ]
            if choices and not one.option_strings:
                lines.append(f"{seen} -a {_quoted(choices)}")
    return lines


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose script to print")


def _print(invocation: Invocation) -> int:
    print(script(invocation.options.shell))
    return 0


COMMANDS = {"completion": Command(_arguments, _print)}
