"""Complete verbs, options, specs, variants, hyperparameters and runs in a shell, when the Tab key is pressed.

bash, in ~/.bashrc:                       eval "$(attndsl completion bash)"
zsh, in ~/.zshrc, after `compinit`:       eval "$(attndsl completion zsh)"
fish, in ~/.config/fish/config.fish:      attndsl completion fish | source
"""

from __future__ import annotations

from argparse import REMAINDER
from typing import Any

from attndsl.cli.arguments import Parser

WORDS = "words"

# Each asks `attndsl completion words WORD…` with what stands before the cursor; a line is a word and what it means.
# Where nothing is known, files are what the shell offers.
SCRIPTS = {
    "bash": r"""_attndsl() {
  local IFS=$'\n' line
  # What the shell cut at `=` and `:` is put together again.
  local before="${COMP_LINE:0:COMP_POINT}" words=()
  IFS=$' \t\n' read -ra words <<< "$before"
  [[ "$before" == *[[:space:]] ]] && words+=("")
  local current="${words[${#words[@]}-1]}" cut=""
  [[ "$current" == *[=:]* ]] && cut="${current%"${current##*[=:]}"}"
  COMPREPLY=()
  while IFS= read -r line; do
    line="${line%%$'\t'*}"
    COMPREPLY+=("${line#"$cut"}")
  done < <("${words[0]}" completion words "${words[@]:1}" 2>/dev/null)
  [[ ${#COMPREPLY[@]} == 1 && "${COMPREPLY[0]}" == *[=:] ]] && compopt -o nospace
}
complete -o default -F _attndsl attndsl
""",
    "zsh": r"""_attndsl() {
  local -a lines found described
  local line
  lines=("${(@f)$(${words[1]} completion words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    found+=("${line%%$'\t'*}")
    described+=("${line/$'\t'/  -- }")
  done
  if (( ${#found} )); then
    if [[ ${#found} == 1 && $found[1] == *[=:] ]]; then
      compadd -S '' -- $found
    else
      compadd -l -d described -- $found
    fi
  else
    _files
  fi
}
compdef _attndsl attndsl
""",
    "fish": r"""function __attndsl_words
  set -l before (commandline -opc)
  set -l found ($before[1] completion words $before[2..] (commandline -ct) 2>/dev/null)
  if set -q found[1]
    string join \n -- $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c attndsl -f -a '(__attndsl_words)'
""",
}


def configure(parser: Parser) -> None:
    parser.add_argument(
        "shell",
        choices=(*SCRIPTS, WORDS),
        help="the shell whose script is printed; `words` is what the script asks for",
    )
    parser.add_argument("line", metavar="WORD", nargs=REMAINDER, help="after `words`: what stands before the cursor")


def run(args: Any) -> int:
    if args.shell != WORDS:
        print(SCRIPTS[args.shell], end="")
        return 0
    from attndsl.cli.completing import words

    for word, meaning in words(args.line):
        print(f"{word}\t{meaning}" if meaning else word)
    return 0
