"""The command line's own words in Chinese: help texts, panels, and what the parser adds to them."""

from __future__ import annotations

import re
from typing import Any

from pellucid.languages.sentences import translated

PLAIN = (("Usage:", "用法："), ("Options:", "选项："), ("Commands:", "命令："), ("Arguments:", "参数："))
"""Headings of a help in plain text."""


def in_chinese(command: Any) -> Any:
    """The command with its verbs, their help and panels in Chinese; made anew for each call."""
    command.epilog = translated("help", command.epilog or "", "zh")
    _told(command, table=False)
    for verb in getattr(command, "commands", {}).values():
        verb.rich_help_panel = translated("help", "Commands", "zh")
        _told(verb)
    plain = command.get_help
    command.get_help = lambda ctx: _headed(plain(ctx))
    return command


def _told(command: Any, table: bool = True) -> None:
    """One verb's help and its options'; in a `table` lines break at blanks alone."""
    command.help = translated("help", command.help or "", "zh")
    for param in command.params:
        told = translated("help", param.help or "", "zh")
        param.help = re.sub(r"(?<=[、，；：。])(?=.)", " ", told) if table else told
        panel = param.rich_help_panel or ("Arguments" if param.param_type_name == "argument" else "Options")
        param.rich_help_panel = translated("help", panel, "zh")
    asked = command.get_help_option

    def helping(ctx: Any) -> Any:
        option = asked(ctx)
        if option is not None:
            option.help = translated("help", option.help or "", "zh")
            option.rich_help_panel = translated("help", "Options", "zh")
        return option

    command.get_help_option = helping


def _headed(text: str) -> str:
    """A help in plain text with its headings in Chinese."""
    for english, chinese in PLAIN:
        text = re.sub(f"^{english} ?", chinese, text, flags=re.MULTILINE)
    return text
