"""The command line of the bench: ``options`` parses it; each verb is a function from options to an exit code."""
