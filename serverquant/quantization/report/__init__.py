"""What a quantization costs and gives: a report of a float net and the int8 net that was made of it.

::

    measure     runs both nets: errors, times, sizes, ranges, as plain JSON values (the numbers of a report)
    text        these as lines and tables for a terminal
    page        these as one HTML file; needs the extra [report]
    charts      its charts
    made        Report: the numbers, their files
"""
