"""Words for titles, synopses and names, the more usual ones first where it matters."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ADJECTIVES = _words("""
    Silent Crimson Broken Golden Hidden Last Frozen Burning Electric Lonely Savage Gentle
    Endless Forgotten Velvet Hollow Bitter Wild Paper Iron Scarlet Distant Restless Sacred
    Stolen Secret Fallen Quiet Brave Cruel Strange Perfect Ordinary Invisible Infinite Dark
    Bright Pale Blue Black White Red Green Silver Wicked Noble Rusty Tender Hungry Sleeping
    Dancing Laughing Drowning Rising Vanishing Wandering Blind Mad Final First Second Seventh
    Ancient Modern Private Royal Rebel Holy Rotten Sweet Salty Northern Southern Eastern Western
    Mechanical Lunar Cosmic Feral Fearless Reckless Nameless Timeless Shattered Crooked Honest
    Guilty Innocent Reluctant Accidental Impossible Improbable Dangerous Beautiful Terrible
    Magnificent Little Great Long Deep Shallow Weightless Barefoot Borrowed Painted Haunted
    Enchanted Cursed Blue-Eyed Unfinished
""")
NOUNS = _words("""
    House Night Man Woman Love Day Girl City River Heart Garden Mirror Shadow Letter Stranger
    Detective Soldier Widow King Queen Prince Thief Angel Devil Wolf Fox Raven Sparrow Tiger
    Lion Serpent Horse Hound Orchard Forest Mountain Valley Desert Ocean Island Harbour
    Lighthouse Station Train Highway Bridge Tower Castle Palace Chapel School Hospital Hotel
    Theatre Circus Carnival Parade Wedding Funeral Promise Secret Lie Truth Memory Dream
    Nightmare Whisper Scream Song Dance Waltz Symphony Melody Silence Storm Thunder Lightning
    Rain Snow Fire Smoke Dust Stone Glass Pearl Crown Throne Sword Dagger Bullet Rifle War Peace
    Battle Siege Escape Pursuit Journey Voyage Return Departure Beginning Ending Horizon Sunrise
    Sunset Moon Star Comet Planet Galaxy Machine Robot Engine Signal Code Puzzle Maze Game
    Gambit Heist Robbery Murder Witness Suspect Verdict Trial Judge Jury Prisoner Warden Exile
    Pilgrim Prophet Priest Monk Witch Wizard Ghost Vampire Monster Giant Sailor Captain Pirate
    Admiral General Sergeant Spy Agent Doctor Nurse Surgeon Teacher Student Painter Sculptor
    Poet Actor Singer Pianist Violin Trumpet Drum Kite Balloon Bicycle Taxi Ferry Submarine
    Rocket Kitchen Bakery Baker Barber Tailor Farmer Shepherd Miner Hunter Fisherman Daughter
    Son Mother Father Brother Sister Cousin Uncle Grandmother Orphan Twin Neighbour Friend Enemy
    Rival Lover Bride Groom Affair Scandal Empire Republic Kingdom Colony Frontier Border Café
    Fiancée Dune Cathedral
""")
VERBS = _words("""
    hides finds loses betrays rescues follows forgives hunts abandons confronts discovers
    protects remembers deceives saves
""")
PLACES = (
    *_words("""
        Paris Berlin Vienna Prague Budapest Lisbon Madrid Seville Rome Venice Naples Athens Istanbul
        Cairo Tangier Dakar Nairobi Zanzibar Bombay Delhi Kathmandu Bangkok Hanoi Manila Shanghai
        Kyoto Tokyo Osaka Seoul Sydney Auckland Honolulu Seattle Oakland Reno Tucson Denver Memphis
        Savannah Baltimore Brooklyn Harlem Boston Montréal Havana Veracruz Oaxaca Bogotá Lima Cusco
        Valparaíso Bahia Recife Dublin Galway Glasgow Cardiff Leeds Dover Calais Bruges Antwerp
        Bremen Gdańsk Kraków Riga Tallinn Helsinki Bergen Oslo Uppsala Reykjavík Odessa Tbilisi
        Samarkand Tromsø Zürich
    """),
    *("Santa Fe", "New Orleans", "São Paulo", "Buenos Aires", "Hong Kong", "the Old Town"),
)
FIRST_NAMES = _words("""
    Ada Adam Agnès Aiko Alba Alejandro Amara Amir Ana Anders Anja Anton Aoife Arjun Astrid Awa
    Beatriz Ben Björn Bruno Camille Carlos Chiara Chloé Clara Daan Dalia Daniel David Diego Dina
    Edith Elena Eli Elif Emeka Emil Emma Esra Eva Farah Felix Fiona Francesca Freja Gabriel
    Georg Giulia Grace Hana Hannah Harriet Hassan Hélène Hiroshi Hugo Ida Ines Ingrid Irene
    Isaac Iva Jan Jana Javier Jonas José Julia Kaito Karim Katarzyna Kofi Lars Laura Leila Leo
    Linnéa Lucía Luka Magda Maja Marco Maria Marta Mateo Maya Mehmet Mei Milan Mina Moritz Nadia
    Naomi Nils Nina Noah Nora Olga Oliver Omar Oskar Paulo Petra Priya Rafael Renée Rosa Ruth
    Sam Samira Sara Sofia Søren Stefan Tariq Teresa Theo Tomás Ulla Vera Viktor Yara Yusuf Zoe
    Zofia
""")
LAST_NAMES = _words("""
    Abe Adeyemi Almeida Andersen Aydın Bauer Becker Bell Bianchi Blanc Bondarenko Braun Brown
    Castillo Chen Costa Dahl Das Dubois Duarte Eriksson Fernández Ferrari Fischer Fontaine
    Fraser García Garnier Ghosh Graham Gruber Haas Haddad Hansen Hashimoto Herrera Hoffmann
    Horváth Hughes Ivanova Jansen Jensen Johansson Kaya Keller Kelly Khan Kim Kovač Kowalska
    Krause Kumar Lange Larsen Leclerc Lefèvre Leroy Lindqvist López Lund Mäkinen Marino Martin
    Medina Mendes Meyer Mitchell Moreau Morgan Mori Müller Murphy Nagy Navarro Nguyen Nielsen
    Nilsson Novák Nowak O’Brien Okafor Olsen Ortega Osei Patel Pavlova Pereira Petrov Popescu
    Quinn Reyes Ricci Rossi Roux Ryan Sánchez Sato Schmidt Schneider Sharma Silva Simon Singh
    Sørensen Suzuki Takahashi Torres Tóth Vasquez Vogel Walsh Weber Weiss Wilson Wójcik Wong
    Yamamoto Yılmaz Young Zhang
""")
