"""The command line: one verb a file, each calls one library function of the same name."""
