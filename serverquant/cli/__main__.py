"""`python -m serverquant.cli` is the command `serverquant`."""

import sys

from serverquant.cli import main

sys.exit(main())
