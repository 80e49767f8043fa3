"""From the files of a study's runs to its table of results, tables, figures and verdicts; nothing is trained here."""
