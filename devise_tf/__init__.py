"""DeViSE in TensorFlow and Keras: a deep visual-semantic embedding model zoo.

Importing this package imports neither TensorFlow nor Keras; its subpackages do so when they are used.
"""

import os

__version__ = "0.1.0"

# In a checkout `models` and `export` are links to the folders beside this one; an installed wheel has both
# inside. Where there are no links (a ZIP file, Git on Windows), the folders are found here.
_folder = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_folder, "models")):
    __path__.append(os.path.dirname(_folder))
