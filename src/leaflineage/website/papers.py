"""The three papers the method stands on, as references and as BibTeX."""

from __future__ import annotations

from leaflineage.website.pages.home import Paper

PAPERS = (
    Paper(
        authors="Fel, Picard, Béthune, Boissin, Vigouroux, Colin, Cadène, Serre",
        title="CRAFT: Concept Recursive Activation FacTorization for Explainability",
        venue="CVPR 2023",
        href="https://arxiv.org/abs/2211.10154",
        anchor="bibtex-craft",
        bibtex="""@inproceedings{fel2023craft,
  title     = {{CRAFT}: Concept Recursive Activation {FacTorization} for Explainability},
  author    = {Fel, Thomas and Picard, Agustin and B{\\'e}thune, Louis and Boissin, Thibaut and
               Vigouroux, David and Colin, Julien and Cad{\\`e}ne, R{\\'e}mi and Serre, Thomas},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2023},
  eprint    = {2211.10154},
  archivePrefix = {arXiv}
}""",
    ),
    Paper(
        authors="Fel, Boutin, Moayeri, Cadène, Béthune, Andéol, Chalvidal, Serre",
        title="A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation",
        venue="NeurIPS 2023",
        href="https://arxiv.org/abs/2306.07304",
        anchor="bibtex-holistic",
        bibtex="""@inproceedings{fel2023holistic,
  title     = {A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation},
  author    = {Fel, Thomas and Boutin, Victor and Moayeri, Mazda and Cad{\\`e}ne, R{\\'e}mi and
               B{\\'e}thune, Louis and And{\\'e}ol, L{\\'e}o and Chalvidal, Mathieu and Serre, Thomas},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2023},
  eprint    = {2306.07304},
  archivePrefix = {arXiv}
}""",
    ),
    Paper(
        authors="Fel, Boissin, Boutin, Picard, Novello, Colin, Linsley, Rousseau, Cadène, Goetschalckx, Gardes, Serre",
        title="Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization",
        venue="NeurIPS 2023",
        href="https://arxiv.org/abs/2306.06805",
        anchor="bibtex-maco",
        bibtex="""@inproceedings{fel2023maco,
  title     = {Unlocking Feature Visualization for Deeper Networks with {MAgnitude} Constrained Optimization},
  author    = {Fel, Thomas and Boissin, Thibaut and Boutin, Victor and Picard, Agustin and Novello, Paul and
               Colin, Julien and Linsley, Drew and Rousseau, Tom and Cad{\\`e}ne, R{\\'e}mi and
               Goetschalckx, Lore and Gardes, Laurent and Serre, Thomas},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2023},
  eprint    = {2306.06805},
  archivePrefix = {arXiv}
}""",
    ),
)
