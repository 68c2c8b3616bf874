"""The language server: `dsl.editor` in the words of the Language Server Protocol."""
