"""What the templates do under a traffic: the two scaling loops as AWS documents them, second by second.

traffic -> model (read from templates) -> run -> results -> study, over alarm phases and bands -> table, report, search.
"""
