"""`python -m serverquant.cli`."""

import sys

from serverquant.cli import main

sys.exit(main())
