"""Filling a shelf with films, members and what they think (`manage.py seed`).

It stands above all apps, since it writes the rows of each at once: by COPY and set-wise SQL, which
signals never see, so `opinions.count()` fills the numbers of the films from their rows at the end.

    shelf.py      what is missing, in which order it is added, in one transaction
    members.py    made-up people, and the demo logins
    films.py      real films from movies/data, or made-up ones; titles.py makes their titles
    opinions.py   ratings and reviews, spread like life; sentences.py says what reviews say
    pictures.py   drawn posters and avatars
    loading.py    COPY, and indexes that are built once instead of row by row
"""
