"""A model as a page: its text, what is wrong with it, its diagram, its layers, its masks.

Given a spec; gives one HTML file that needs nothing else (`standalone`), or serves the same page on this machine while
the file is being written (`serve`). What a page shows is data (`contents`, `Diagrams`), which a script of the page's
own turns into what one sees.
"""

from attndsl.model_page.contents import contents
from attndsl.model_page.diagrams import Diagrams
from attndsl.model_page.examined import Examined, FollowedSpec
from attndsl.model_page.html import standalone
from attndsl.model_page.serving import PageServer, serve

__all__ = ["Diagrams", "Examined", "FollowedSpec", "PageServer", "contents", "serve", "standalone"]
