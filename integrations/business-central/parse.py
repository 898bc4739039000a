"""Parses AL files, and fails on the first syntax error of each."""
import sys
from pathlib import Path

import tree_sitter
import tree_sitter_al

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_al.language()))


def first_error(source):
    """Return the first node that is not AL, or None."""
    nodes = [PARSER.parse(source).root_node]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            return node
        nodes.extend(reversed(node.children))
    return None


def main(paths):
    # The parser recovers from errors, so a broken file must be noticed.
    if first_error(b'codeunit 50100 A { procedure B() begin exit(; end; }') is None:
        sys.exit('the parser accepts what is not AL')
    failures = 0
    for path in map(Path, paths):
        node = first_error(path.read_bytes())
        if node:
            row, column = node.start_point
            print(f'{path}:{row + 1}:{column + 1}: syntax error', file=sys.stderr)
            failures += 1
    if not paths or failures:
        sys.exit(f'{failures} of {len(paths)} files have errors')
    print(f'{len(paths)} files parsed')


if __name__ == '__main__':
    main(sys.argv[1:])
