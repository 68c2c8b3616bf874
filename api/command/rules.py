"""`betrace rules …`: rules on this machine, and against a server. One module for each command."""

from __future__ import annotations

import typer

from api.command.rules_backtest import backtest
from api.command.rules_cases import cases
from api.command.rules_check import check
from api.command.rules_explain import explain_rules
from api.command.rules_fmt import format_rules
from api.command.rules_test import run_tests

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Check, test, explain, lay out and backtest rules.",
)
app.command("check")(check)
app.command("test")(run_tests)
app.command("explain")(explain_rules)
app.command("fmt")(format_rules)
app.command("backtest")(backtest)
app.command("cases")(cases)
