"""``python -m holdfast.cli``: the `holdfast` command by the name of its package."""

from holdfast.cli.main import main

main()
