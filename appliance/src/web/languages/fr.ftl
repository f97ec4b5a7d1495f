### Les pages en français. L'anglais (en.ftl) fait référence.

## Autour de chaque page

frame-title = Triage d'IRM cérébrale
frame-skip = Aller au contenu
frame-pages = Pages
frame-worklist = Liste de travail
frame-system = Système
frame-problems = { $n ->
    [one] { $n } problème
   *[other] { $n } problèmes
}
frame-users = Utilisateurs
frame-you = Vous : { $name }
frame-log-out = Se déconnecter
frame-untrained-mark = MODÈLE NON ENTRAÎNÉ.
frame-untrained = Les signes, la gravité et l'ordre ne veulent rien dire : { $statement }.
frame-simulated-mark = MODÈLE DE DONNÉES SIMULÉES.
frame-simulated = Jamais essayé sur des patients ; ne vous fiez ni aux signes, ni à la gravité, ni à l'ordre : { $statement }.
frame-trial-mark = NOUVEAUX RÉGLAGES RÉSEAU À L'ESSAI.
frame-trial = Les anciens reviennent dans { $span }, sauf si un administrateur garde les nouveaux.
frame-trial-keep = Les garder
frame-model = Modèle { $name }
frame-no-model = Aucun modèle n'est en service : les examens sont rangés par ancienneté. Usage de recherche ; pas un dispositif médical.
frame-version = Version { $version }
language-label = Langue
language-set = Choisir
language-unreviewed = Cette traduction n'a pas encore été relue par une personne de langue maternelle ; en cas de doute, le texte anglais fait foi.

## Nombres, temps et patients

count-images = { $n ->
    [one] { $n } image
   *[other] { $n } images
}
count-images-of = { $n } sur { $expected ->
    [one] { $expected } image
   *[other] { $expected } images
}
count-files = { $n ->
    [one] { $n } fichier
   *[other] { $n } fichiers
}
count-attempts = { $n ->
    [one] { $n } essai
   *[other] { $n } essais
}
time-just-now = à l'instant
time-ago = il y a { $span }
time-unknown = à une date inconnue
span-seconds = { $n } s
span-minutes = { $n } min
span-hours = { $n } h
span-days = { $n } jours
age-years = { $n ->
    [one] { $n } an
   *[other] { $n } ans
}
age-months = { $n } mois
age-weeks = { $n ->
    [one] { $n } semaine
   *[other] { $n } semaines
}
age-days = { $n ->
    [one] { $n } jour
   *[other] { $n } jours
}
age-sex-unknown = âge et sexe inconnus
sex-other = autre sexe
patient-no-name = (sans nom)

## Gravité, délai, états et marques

acuity-label = Gravité
acuity-high = ÉLEVÉE
acuity-medium = MOYENNE
acuity-low = FAIBLE
acuity-none = NULLE
acuity-unknown = INCONNUE
acuity-not-yet = À VENIR
urgency-routine = sans urgence
urgency-soon = bientôt
urgency-urgent = urgent
urgency-emergency = extrême urgence
state-late = images tardives en cours : { $images } jusqu'ici
state-receiving = en réception : { $images } jusqu'ici
state-waiting = complet, attend l'analyse ({ $images })
state-analysing = analyse en cours ({ $images })
state-not-analysed = non analysé ({ $images })
state-complete = complet ({ $images })
state-analysed = analysé ({ $images })
mark-overdue = EN RETARD
mark-overdue-why = a attendu { $span } de trop
mark-partial = INCOMPLET
mark-partial-why = il manque des images annoncées par l'appareil
mark-late = IMAGES TARDIVES
mark-late-why = des images sont arrivées une fois l'examen complet
mark-set = FIXÉE PAR LECTEUR
mark-set-why = un lecteur a fixé { $acuity }
mark-hospital-dead = PAS À L'HÔPITAL
mark-hospital-dead-why = la demande d'avis n'est pas arrivée à l'hôpital : { $why }
mark-hospital-waits = PAS ENCORE ENVOYÉ
mark-hospital-waits-why = la demande d'avis attend depuis { $span } d'arriver à l'hôpital
mark-accepted = ACCEPTÉ
mark-declined = REFUSÉ
mark-completed = RÉPONDU
mark-answer-why = par { $name }, { $ago }

## Liste de travail

queue-all-open = Tous à lire
queue-all = Tous
queue-urgent = Urgents
queue-review = À relire
queue-not-analysed = Non analysés
queue-done = Terminés
queue-empty = Aucun examen n'attend : tous sont terminés.
queue-empty-urgent = Aucun examen urgent n'attend.
queue-empty-review = Aucun examen n'attend de relecture.
queue-empty-not-analysed = Tous les examens complets ont été analysés.
queue-empty-done = Aucun examen n'est encore terminé.
worklist-title = Liste de travail
worklist-arrivals = Derniers arrivés
worklist-queues = Files
worklist-search = Chercher
worklist-search-label = Nom du patient, identifiant ou numéro d'examen
worklist-live = Retour à la liste
worklist-empty-title = Rien n'est encore arrivé
worklist-empty = Saisissez ceci dans l'IRM comme nouveau nœud réseau (ou destination DICOM, ou archive) :
worklist-empty-next = Puis envoyez un examen. Il apparaît ici dès l'arrivée des premières images.
worklist-no-fit = Aucun examen ne correspond
worklist-no-fit-words = Chaque mot doit se trouver dans le nom du patient, son identifiant ou le numéro d'examen.
worklist-no-fit-letters = Quelques lettres d'un nom suffisent.
worklist-no-id = sans identifiant
worklist-more = et { $n } de plus
worklist-done = Terminé
worklist-pages = Autres examens
worklist-paging = { $from } à { $to } sur { $total }
worklist-back = Plus haut dans la liste
worklist-next = Plus bas dans la liste
worklist-as-of = État du { $now }.
worklist-reloads = La page se recharge toutes les { $seconds } secondes.
worklist-reloads-not = La page ne se recharge pas pendant une recherche.
worklist-order = Les plus graves d'abord ; un examen qui a trop attendu passe avant tous les autres.
live-yes = En direct : les nouveautés s’affichent ici d’elles-mêmes.
live-polls = Pas en direct : la liste est redemandée toutes les { $seconds } secondes.
live-silent = Pas en direct : l’appareil ne répond pas, cette liste est ancienne.
live-new = { $n } nouveaux ou modifiés : afficher
live-study = Du nouveau sur cet examen : afficher
worklist-keys = J et K descendent et remontent la liste, Entrée ouvre un examen, Échap quitte la liste. Les lignes ne bougent pas sous le pointeur ou le clavier.
receive-ae-title = AE title
receive-address = Adresse
receive-or = ou
receive-port = Port
receive-tls-port = Port TLS

## Examen

study-no-description = (sans description)
study-not-analysed = Non analysé :
study-queue = File : { $queue }
study-unaided = Lisez cet examen sans l'aide du modèle.
study-untrained-mark = Ce résultat vient d'un modèle non entraîné :
study-untrained = les nombres sont aléatoires et ne veulent rien dire.
study-simulated-mark = Ce résultat vient d'un modèle de données simulées :
study-simulated = il n'a jamais été essayé sur des patients ; ne vous y fiez pas.
study-arrived = Arrivé
fact-patient-id = Identifiant du patient
fact-born = Naissance
fact-accession = Numéro d'examen
fact-study-date = Date de l'examen
fact-body-part = Région
fact-scanner = Appareil
fact-institution = Établissement
fact-referrer = Prescripteur
fact-study-uid = Study UID
decide-title = Décider
decide-reopen = Rouvrir
decide-done = Marquer terminé
decide-acuity = Changer la gravité
decide-why = Pourquoi ? (nécessaire)
decide-new-acuity = Nouvelle gravité
explanation-title = D'où vient le score de { $finding }
explanation-failed = Il n'y a pas d'image : { $why }.
explanation-alt = Coupe { $n } de { $series } ; les zones teintées augmentent le score de { $finding }, numérotées à partir de celle qui l'augmente le plus
explanation-text = Les zones teintées de { $series } augmentent le score ; la zone 1 l'augmente le plus.
explanation-how = LIME avec { $samples } échantillons, R² { $fit }
explanation-other-version = elle vient d'une autre version de ce programme
explanation-deleted = elle a été supprimée avec les images, pour faire de la place
preview-warning = Aperçu de l'IA, pas pour le diagnostic : une zone sans teinte peut être malade.
findings-title = Signes relevés par le modèle
findings-acuity = La gravité selon le modèle vient de : { $reasons }.
findings-no-finding = aucun signe n'atteint son seuil
findings-none = Aucun signe n'a atteint son seuil. Cela ne veut pas dire que l'examen est normal.
findings-no-result = Il n'y a pas de résultat à montrer.
findings-withheld = Non signalé sur ce site : { $finding }. { $reason }
findings-all = Tous les { $n } scores
findings-scores = Un score n'est pas une probabilité. Ce qui atteint son seuil est un signe.
finding-probability = probabilité { $share }
finding-score = score { $score }, seuil { $threshold }, marge { $margin }
finding-margin = { $margin } au-dessus de son seuil
finding-agree = D'accord
finding-disagree = Pas d'accord
finding-with = avec { $finding }
finding-reason = Raison
finding-other-reason = Autre raison
finding-not-judged = pas encore jugé ici
finding-right = juste { $agreed } fois sur { $judged } ici : VPP { $ppv } (intervalle à 95 % de { $low } à { $high })
finding-overridden = gravité changée dans { $share } de { $reviewed } relus
reason-not-there = absent
reason-known = déjà connu
reason-artefact = artéfact ou mouvement
reason-variant = variante normale
reason-explained = autre explication
referrals-title = Avis spécialisés proposés
referrals-rules = Règles { $version } ({ $digest }), { $approved }.
referrals-approved = approuvées par { $name }
referrals-not-approved = approuvées par personne sur ce site
hospital-title = Hôpital de référence
hospital-waiting = La demande d'avis attend d'être envoyée
hospital-there = L'hôpital a la demande d'avis
hospital-dead = La demande d'avis n'y est pas arrivée : { $why }
hospital-withdrawn-waiting = La demande d'avis a été retirée, ce que l'hôpital ne sait pas encore
hospital-withdrawn-there = La demande d'avis a été retirée, ce que l'hôpital sait
hospital-lost = { $n ->
    [one] { $n } message de cet examen a été abandonné ; voir la page Système.
   *[other] { $n } messages de cet examen ont été abandonnés ; voir la page Système.
}
hospital-received = Personne ne l'y a encore regardée
hospital-accepted = Acceptée
hospital-declined = Refusée
hospital-completed = Terminée
hospital-note = Note
hospital-actions = À faire
decisions-title = Décisions
decisions-undo = Annuler
decision-agree = d'accord avec : { $finding }
decision-disagree = pas d'accord avec : { $finding }
decision-acuity = a fixé la gravité { $acuity }
decision-done = a marqué terminé
decision-reopened = a rouvert
decision-undone = annulé { $ago } par { $name }
context-title = Contexte clinique
context-typed = saisi ici
context-none = aucun n'a été envoyé
context-sent = envoyé par l'appareil
context-label = Motif de l'examen ; un modèle qui le lit recalcule ses scores
context-save = Enregistrer le contexte
context-from-scanner = Reprendre celui de l'appareil
context-read = Le résultat affiché tient compte d'un contexte clinique.
context-unread = Le résultat affiché ne tient compte d'aucun contexte clinique.
series-title = Séries
series-deleted = Les images ont été supprimées pour faire de la place ; les résultats sont gardés.
series-middle = Coupe médiane
series-looked-at = Analysées
series-left-out = Non analysées
series-arrived = À l'arrivée : { $n ->
    [one] { $n } série
   *[other] { $n } séries
}
series-images = { $n ->
    [one] { $n } image
   *[other] { $n } images
}
series-images-of = { $n } sur { $expected } images
series-used = { $plane }, { $size }, { $tokens } blocs utilisés sur { $patches }
plane-axial = axial
plane-coronal = coronal
plane-sagittal = sagittal
priors-title = Autres examens avec cet identifiant
priors-read = lu
priors-read-deleted = lu ; ses images ont été supprimées
priors-unread = pas encore lu
priors-elsewhere = dans { $archive }
timeline-title = Ce qui s'est passé
timeline-first = première image arrivée
timeline-last = dernière image arrivée, { $images } en tout
timeline-complete = complet
timeline-complete-again = complet (passage { $n })
timeline-partial = des images annoncées manquent
timeline-decided = { $what }, par { $name }
timeline-undone = annulé par { $name } : { $what }
timeline-deleted = images supprimées pour faire de la place ; résultats gardés
delivery-report = compte rendu
delivery-picture = image
delivery-sent = { $kind } envoyé à { $archive }
delivery-segmentation = segmentation
delivery-committed = { $kind } envoyé à { $archive }, qui s’est engagé à le conserver
delivery-refused = { $kind } refusé par { $archive } : { $why }
results-title = Résultats
results-none = Aucun modèle n'a encore vu cet examen.
results-shown = Affiché plus haut.
results-device = sur { $device }
results-json = Cet examen en JSON
results-line = Passage { $n } : { $text }
result-analysed = analysé
result-not-analysed = non analysé
result-hidden = examiné
result-hidden-why = qui est désactivé : son résultat n'est pas montré
result-by = par { $model }
result-by-digest = par le modèle { $digest }
result-on = sur { $device } en { $seconds } s
result-context = avec contexte clinique
result-partial = sur un examen incomplet

## Coupes

slices-back = Retour à { $patient }
slices-picture = Image ; les flèches du clavier font défiler les coupes
slices-unoriented = Orientation inconnue : le fichier ne dit pas comment la coupe est placée, d'où l'absence de lettres.
slices-ways = Coupes
slices-number = Coupe
slices-show = Afficher
slices-overlay-show = Montrer d'où vient le score de { $finding }
slices-overlay-hide = Cacher d'où vient le score de { $finding }
slices-overlay = Les zones teintées augmentent le score, les rouges le plus.
slices-keys = Molette, flèches, J et K font défiler ; Début et Fin vont aux extrémités ; glisser à la souris change la luminosité (haut, bas) et le contraste (gauche, droite) ; un doigt fait défiler les coupes.
slices-place = coupe { $number } sur { $count }
slices-none = Il n'y a pas d'image dans cette série.
slices-unreadable = { $files } de cette série ne peuvent pas être affichés ; le premier : { $first }.
slices-failed = Cette coupe ne peut pas être affichée.
slices-loading = Chargement de la coupe…
slices-no-answer = Le boîtier ne répond pas ; continuez à défiler pour réessayer.
volume-link = En trois dimensions
volume-back = Retour aux coupes
volume-needs = Cette vue est dessinée par JavaScript et WebGL 2. Les coupes n'ont besoin d'aucun des deux.
volume-scene = La série dans trois plans et en volume
volume-hands = Convention radiologique : la droite du patient est à gauche. Un clic déplace la croix, la molette fait défiler, glisser tourne le volume.
volume-loading = Chargement de la série…
volume-no-webgl = Ce navigateur n'a pas WebGL 2, la série ne peut donc pas être dessinée ; regardez ses coupes.
volume-failed = La série ne peut pas être dessinée ; regardez ses coupes.
volume-no-answer = Le boîtier ne répond pas ; rechargez la page pour réessayer.
volume-choices = Volumes de cette série
way-first = Première
way-previous = Précédente
way-next = Suivante
way-last = Dernière
window-title = Luminosité et contraste
window-now = Centre et largeur de fenêtre :
window-note = Les niveaux de gris en IRM n'ont pas d'unité : aucune fenêtre fixe ne convient à un tissu. « D'origine » est la fenêtre choisie par l'appareil ou, à défaut, une seule pour toute la série ; « selon cette coupe » rend noir le centième le plus sombre de cette coupe et blanc le plus clair ; les autres partent de ce qui est affiché.
window-stored = d'origine
window-slice = selon cette coupe
window-brighter = plus clair
window-darker = plus sombre
window-more-contrast = plus de contraste
window-less-contrast = moins de contraste
place-right = { $mm } mm à droite
place-left = { $mm } mm à gauche
place-anterior = { $mm } mm en avant
place-posterior = { $mm } mm en arrière
place-inferior = { $mm } mm vers le bas
place-superior = { $mm } mm vers le haut

## Système

system-title = Système
system-checks = Contrôles
system-version = Version
system-running = En marche depuis
system-time = Heure du boîtier
system-good = Tout fonctionne.
system-notices = { $n ->
    [one] Tout fonctionne, avec { $n } remarque.
   *[other] Tout fonctionne, avec { $n } remarques.
}
system-problems = { $n ->
    [one] { $n } problème à traiter.
   *[other] { $n } problèmes à traiter.
}
system-stale = le boîtier ne s'est pas contrôlé depuis { $span } ; ce qui suit est ancien. Redémarrez-le
verdict-good = OK
verdict-notice = REMARQUE
verdict-problem = PROBLÈME
system-receiving = Réception
system-senders = Images envoyées récemment
system-no-senders = Personne n'a envoyé d'image.
system-connected = Connectés maintenant
system-no-connected = Personne n'est connecté.
system-peer = { $name } à l'adresse { $address }
system-studies = Examens
system-arriving = En réception
system-waiting = En attente d'analyse
system-analysing = En cours d'analyse
system-models = Modèles
system-no-models = Aucun modèle n'est installé.
model-use = Emploi
model-mode-off = arrêté
model-mode-shadow = en retrait
model-mode-assist = assistance
model-killed = désactivé
model-killed-since = depuis { $when }
model-self-test = Autotest
model-installed = Installé
model-weights = Poids
model-allow = Autoriser à nouveau ce modèle
model-kill = Désactiver ce modèle tout de suite
model-untested = pas encore testé
model-passed = réussi : plus grand écart { $worst }, admis { $tolerance }
model-passed-bare = réussi ; le modèle ne contient pas de valeurs à comparer
model-failed = ÉCHEC : il ne calcule pas ce qu'il devrait
model-unreadable = illisible
system-quarantine = Mises de côté
system-no-quarantine = Aucune image n'a été mise de côté.
system-commitments = Engagements de stockage
system-no-commitments = Aucun appareil n'en a demandé.
hospital-unsent = Pas arrivés à l'hôpital de référence
hospital-row-study = { $kind } de l'examen { $study }
hospital-flag = demande d'avis
hospital-objects = résultat
hospital-series = images
hospital-other = rapport sans patient
hospital-again-which = message { $row }
archives-title = Résultats vers d’autres systèmes
archives-none = Aucune archive ni destinataire HL7 configuré ; les résultats restent sur cet appareil.
archives-counts = { $sent } envoyés, { $waiting } en attente
archives-oldest = (le plus ancien { $ago })
archives-refused = Refusés
archives-study = Examen { $study }
archives-for = pour { $archive }
archives-again = Renvoyer
archives-again-which = le résultat de l'examen { $study } à { $archive }
hub-title = Hôpital de référence
hub-address = Serveur de l’hôpital
hub-site = où cet appareil s’appelle { $site }
hub-link = Liaison
hub-starting = pas encore essayée
hub-working = envoi en cours
hub-idle = tout est envoyé
hub-waiting = pas de réponse ; l’appareil réessaie de lui-même
hub-barred = quelqu’un doit agir
hub-contact = Dernière réponse
hub-never = jamais
hub-clock-behind = l’horloge de cet appareil retarde de { $span }
hub-clock-ahead = l’horloge de cet appareil avance de { $span }
hub-carries = Débit
hub-speed = environ { $kbit } kbit/s
hub-images-wait = les séries attendent leurs heures
hub-sticks = aucune : ce qui attend est transporté par clé USB
hub-outbox = En attente d’envoi
hub-counts = demandes d’avis { $flags }, résultats { $results }, séries { $series }, autres { $other }
hub-oldest = (demande la plus ancienne { $ago })
system-events = Derniers événements
system-no-events = Il ne s'est rien passé.
settings-title = Réglages en vigueur
settings-how = Ils se changent dans le fichier de réglages et valent au prochain démarrage ; `appliance check-config` vérifie le fichier avant.
system-json = Cette page en JSON

## Qualité

quality-title = Qualité
quality-intro = Appareils, scores et lecteurs sont comparés à ce qui était normal ici. Une alarme est une raison de regarder, pas la preuve d'une panne.
quality-alarms = Alarmes
quality-no-alarms = Aucune alarme n'est ouverte.
quality-since = Depuis le { $when }, { $what } ({ $why }).
quality-since-bare = Depuis le { $when }, { $what }.
quality-brighter = les images de { $scanner } sont { $part } plus claires qu'avant
quality-darker = les images de { $scanner } sont { $part } plus sombres qu'avant
quality-contrast-more = les images de { $scanner } ont { $part } de contraste en plus qu'avant
quality-contrast-less = les images de { $scanner } ont { $part } de contraste en moins qu'avant
quality-noise-more = les images de { $scanner } ont { $part } de bruit en plus qu'avant
quality-noise-less = les images de { $scanner } ont { $part } de bruit en moins qu'avant
quality-head-more = la tête occupe { $part } de plus des images de { $scanner } qu'avant
quality-head-less = la tête occupe { $part } de moins des images de { $scanner } qu'avant
quality-slices-more = les séries de { $scanner } ont { $part } de coupes en plus qu'avant
quality-slices-less = les séries de { $scanner } ont { $part } de coupes en moins qu'avant
quality-distance-more = les coupes de { $scanner } sont { $part } plus espacées qu'avant
quality-distance-less = les coupes de { $scanner } sont { $part } plus rapprochées qu'avant
quality-tokens-more = le modèle lit { $part } de plus de chaque série de { $scanner } qu'avant
quality-tokens-less = le modèle lit { $part } de moins de chaque série de { $scanner } qu'avant
quality-series = les examens de { $scanner } ont en moyenne { $now } séries utilisables au lieu de { $before }
quality-left-out = en moyenne { $now } séries ou fichiers de chaque examen de { $scanner } sont inutilisables au lieu de { $before }
quality-priority-more = le modèle juge les examens de { $scanner } plus urgents qu'avant
quality-priority-less = le modèle juge les examens de { $scanner } moins urgents qu'avant
quality-age-more = les patients de { $scanner } paraissent au modèle plus âgés qu'avant
quality-age-less = les patients de { $scanner } paraissent au modèle plus jeunes qu'avant
quality-score-more = les examens de { $scanner } ont un score plus haut qu'avant pour { $finding } : { $now } en moyenne au lieu de { $before }
quality-score-less = les examens de { $scanner } ont un score plus bas qu'avant pour { $finding } : { $now } en moyenne au lieu de { $before }
quality-no-result = { $now } des examens de { $scanner } restent sans résultat au lieu de { $before }
quality-override = les lecteurs changent { $now } des résultats pour { $scanner } au lieu de { $before }
quality-psi = PSI { $psi }, plus que { $limit }
quality-software = logiciel { $new } au lieu de { $old }
quality-others = { $n ->
    [one] { $n } autre valeur aussi
   *[other] { $n } autres valeurs aussi
}
quality-advise-input = Les résultats de ses examens peuvent être faux : demandez au radiologue de lire les dix prochains sans la liste, et prévenez l'assistance.
quality-advise-scores = Les résultats de ses examens peuvent être faux : demandez au radiologue de lire les dix prochains sans la liste, et prévenez le responsable du modèle.
quality-advise-no-result = Lisez ces examens sans l'aide du modèle, regardez les raisons sur la liste de travail, et prévenez l'assistance.
quality-advise-override = Demandez aux lecteurs ce qu'ils changent ; si le modèle se trompe, désactivez-le sur la page système.
quality-other-version = Appareil { $scanner } : une autre version de ce programme a enregistré cette alarme.
quality-opened = Ouverte
quality-seen = vue la dernière fois
quality-found-out = Qu'avez-vous constaté ?
quality-acknowledge = J'en ai pris note
quality-known = Prise en compte { $ago } par { $name }
quality-closed-passed = Elle est passée { $ago }.
quality-closed-normal = Cela a été déclaré normal { $ago }.
quality-closed-model = Un autre modèle a pris la relève { $ago }.
quality-past = Alarmes passées
quality-scanners = Appareils
quality-no-scanners = Le modèle en vigueur n'a encore vu aucun examen.
quality-looked = Dernier contrôle :
quality-not-looked = Pas encore contrôlé.
quality-learning = Apprend ce qui est normal : { $have } examens sur { $need }.
quality-watched = Surveillé.
quality-chart-no-result = Examens sans résultat
quality-chart-override = Résultats changés par les lecteurs
quality-chart-rate = { $reference } dans la référence ; jusqu'à { $usual } passe pour habituel, { $noticed } doit être remarqué.
quality-chart-sum = Somme { $sum }, alarme à { $limit }.
quality-chart-promise = Une fausse alarme sur { $studies } examens en moyenne ; un vrai changement est remarqué après { $delay } en moyenne.
quality-compared = Ce qui est comparé
quality-quantity = Grandeur
quality-before = Avant
quality-now = Maintenant
quality-index = PSI
quality-chance = Hasard
quality-mark = Marque
quality-drifted = DÉRIVÉ
quality-how = Les rapports se font avec les séries du même type d'avant : 1 veut dire sans changement. Le PSI dit à quel point deux distributions s'écartent ; le hasard est la probabilité d'un tel écart sans changement, corrigée du nombre de grandeurs.
quality-quantity-brightness = clarté (rapport)
quality-quantity-contrast = contraste (rapport)
quality-quantity-noise = bruit (rapport)
quality-quantity-head = taille de la tête dans l'image (rapport)
quality-quantity-slices = coupes d'une série (rapport)
quality-quantity-distance = distance des coupes (rapport)
quality-quantity-tokens = ce que le modèle lit d'une série (rapport)
quality-quantity-series = séries utilisables d'un examen
quality-quantity-left-out = séries ou fichiers inutilisables
quality-quantity-priority = urgence
quality-quantity-age = âge d'après les images
quality-quantity-score = score de { $finding }
quality-normal = Déclarer une nouvelle normale
quality-normal-how = La référence est refaite : avec les examens depuis le début de l'alarme ou, sans alarme, avec les prochains. Les alarmes de cet appareil sont closes. Rien n'est comparé avant qu'il y ait assez d'examens.
quality-normal-set = C'est normal maintenant
quality-findings = Part des signes justes
quality-findings-how = Selon le jugement des lecteurs d'ici. Les groupes de moins de { $least } signes jugés ne sont pas montrés.
quality-share = { $agreed } justes sur { $judged } : VPP { $ppv } (intervalle à 95 % de { $low } à { $high })
quality-age = { $band } ans
quality-low = PLUS BAS
quality-few = { $n ->
    [one] { $n } autre signe a été jugé trop rarement.
   *[other] { $n } autres signes ont été jugés trop rarement.
}

## Utilisateurs et connexion

users-title = Utilisateurs
users-once = Il n'est montré que cette fois et n'est conservé nulle part.
users-who = Qui peut se connecter
users-kept-out = BLOQUÉ
users-no-password = n'a pas encore choisi de mot de passe
users-role-of = Rôle de { $name }
users-set-role = Fixer le rôle
users-set-role-of = de { $name }
users-reset = Nouveau mot de passe
users-reset-for = pour { $name }
users-enable = Débloquer
users-disable = Bloquer
users-add-title = Ajouter un utilisateur
users-name = Nom
users-role = Rôle
users-add = Ajouter
users-tech = voit les examens, donne le contexte clinique, renvoie les résultats
users-reader = de même, et décide sur les examens
users-service = voit la page système et les modèles, et aucun patient
users-admin = tout cela, et les utilisateurs
users-added = { $name } a été ajouté. Le mot de passe de la première connexion est
users-was-reset = { $name } est déconnecté partout. Le mot de passe de la prochaine connexion est
users-role-now = { $name } a maintenant le rôle { $role }.
users-disabled = { $name } ne peut plus se connecter.
users-enabled = { $name } peut de nouveau se connecter.
tokens-title = Jetons des programmes
tokens-none = Aucun programme n'en a.
tokens-rights = avec les droits de { $name }
tokens-used = dernier emploi
tokens-revoke = Annuler
tokens-revoke-which = le jeton de { $program } pour { $name }
tokens-program = Programme
tokens-rights-of = avec les droits de
tokens-add = Créer un jeton
tokens-added = { $program } agit pour { $name } avec le jeton
tokens-revoked = Le jeton de { $program } pour { $name } est annulé.
login-title = Se connecter
login-name = Nom
login-password = Mot de passe
login-users = L'administrateur de ce boîtier crée les utilisateurs et les nouveaux mots de passe.
login-lasts = Une connexion dure dix heures, ou une heure sans page ouverte.
login-refused = Ce nom et ce mot de passe ne vont pas ensemble.
setup-page = Premier utilisateur
setup-title = Le premier utilisateur de ce boîtier
setup-text = Personne ne peut encore se connecter. La personne saisie ici sera l'administrateur et ajoutera les autres.
setup-code = Code, affiché là où le boîtier a été démarré
setup-name = Nom, tel qu'il figurera à côté des décisions
setup-password = Mot de passe, au moins { $n } caractères ; quelques mots à la suite se retiennent bien
setup-button = Créer cet utilisateur
account-title = Votre compte
account-must-change = Choisissez votre propre mot de passe : l'actuel a été créé par le boîtier et ne donne accès à rien d'autre.
account-present = Mot de passe actuel
account-new = Nouveau mot de passe, au moins { $n } caractères ; quelques mots à la suite se retiennent bien
account-again = Nouveau mot de passe, encore une fois
account-change = Changer le mot de passe
account-elsewhere = Le changer vous déconnecte partout ailleurs.

## Erreurs

title-400 = Demande incorrecte
title-401 = Connexion nécessaire
title-403 = Non autorisé
title-404 = Introuvable
title-405 = Usage impossible
title-409 = Conflit
title-410 = Supprimé
title-421 = Nom inconnu
title-422 = Illisible
title-429 = Trop d'essais
title-500 = Erreur interne
title-503 = Indisponible
title-507 = Disque plein
error-home = Vers la liste de travail
error-internal = quelque chose a échoué dans le boîtier et rien n'a été changé ; réessayez et, si cela persiste, appelez l'assistance et ouvrez la page système
error-disk-full = rien n'a été enregistré car le disque est plein ; voyez la page système
error-busy = le boîtier a mis trop de temps à répondre ; réessayez
error-no-page = il n'y a pas de page { $page }
error-no-study = il n'y a pas d'examen { $study }
error-no-picture = l'examen { $study } n'a pas cette image
error-no-series = l'examen { $study } n'a pas de série { $series }
error-no-slice = il n'y a pas de coupe { $slice } ; la série en a { $count }, comptées à partir de 1
error-no-volume = il n'y a pas de volume { $volume } ; la série en a { $count }, comptés à partir de 1
error-volume-places = cette série n'est pas un volume : ses coupes ne disent pas où elles se trouvent, ou diffèrent en taille ou en direction
error-volume-one = cette série n'est pas un volume : elle n'a qu'une coupe
error-volume-uneven = cette série n'est pas un volume : une coupe se trouve à { $off } mm de sa place dans une pile régulière
error-volume-large = cette série est trop grande pour un volume : { $size } voxels, le maximum est { $most }
error-volume-colour = cette série est en couleur, et les volumes sont faits de valeurs de gris
error-series-changed = la série a changé depuis le chargement de la page ; rechargez-la
error-evicted = les images de l'examen { $study } ont été supprimées pour faire de la place ; ses résultats sont gardés
error-slice = cette coupe ne peut pas être affichée : { $why }
error-no-delivery = aucun envoi { $delivery } n'a été abandonné ; il a peut-être déjà été refait
error-no-result = l'examen { $study } n'a pas de résultat { $result } qui puisse être montré
error-method = cette adresse ne peut pas être utilisée ainsi
error-host = ce boîtier n'est pas connu sous le nom { $host } ; ouvrez-le par son adresse IP, ou ajoutez le nom à `web.host_names` dans sa configuration
error-origin = ceci n'a pas été envoyé depuis une page de ce boîtier ; rouvrez la page ou, depuis un programme, envoyez l'en-tête `Authorization: Bearer TOKEN`
error-log-in = connectez-vous d'abord ; un programme envoie l'en-tête `Authorization: Bearer TOKEN` avec un jeton créé par la page des utilisateurs ou `appliance user token`
error-new-password = choisissez d'abord votre propre mot de passe, sur la page /account
error-role = votre rôle ici est { $role }, qui ne permet pas de { $right } ; demandez à l'administrateur de ce boîtier
right-operate = s'occuper du boîtier
right-patients = voir les patients
right-decide = décider sur les examens
right-models = choisir les modèles
right-reference = déclarer une nouvelle normale
right-users = modifier les utilisateurs
right-settings = garder de nouveaux réglages
error-wait = trop d'essais erronés ; attendez { $n ->
    [one] { $n } seconde
   *[other] { $n } secondes
} et réessayez
error-setup-code = ce n'est pas le code de ce boîtier ; il a été affiché là où `appliance serve` a été lancé, et chaque démarrage sans utilisateurs en crée un nouveau
error-password-short = le mot de passe a { $n } caractères ; il en faut au moins { $least }, et quelques mots à la suite se retiennent bien
error-password-long = le mot de passe a { $n } caractères ; { $most } au plus
error-password-name = le mot de passe est le nom ; choisissez-en un autre
error-password-other = le mot de passe actuel est un autre
error-password-twice = le nouveau mot de passe a été saisi de deux façons
error-password-same = le nouveau mot de passe est l'actuel
error-user-name = { $name } ne peut pas être un nom ; donnez 1 à { $most } caractères, sans `:` ni caractères de contrôle
error-user-exists = il y a déjà un utilisateur { $name }
error-no-user = il n'y a pas d'utilisateur { $name }
error-last-admin = { $name } est le seul administrateur ; nommez-en d'abord un autre
error-not-first = ce boîtier a déjà des utilisateurs ; demandez à son administrateur de vous ajouter
error-token-exists = { $name } a déjà un jeton pour { $program } ; annulez-le d'abord
error-no-token = { $name } n'a pas de jeton pour { $program }
error-no-role = il n'y a pas de rôle { $role } ; il y a { $known }
error-no-action = il n'y a pas d'action { $action }
error-no-queue = il n'y a pas de file { $queue } ; il y a { $known }
error-no-language = il n'y a pas de langue { $language } ; il y a { $known }
error-number = le nombre dans l'adresse n'est pas un nombre
error-too-long = le texte est trop long ; 64 Kio au plus
error-context-long = le contexte a { $n } caractères ; { $most } au plus
error-choose-acuity = choisissez une gravité
error-no-decision-kind = il n'y a pas de décision { $kind }
error-no-decision = il n'y a pas de décision { $decision }
error-already-undone = la décision { $decision } est déjà annulée
error-no-finding = le résultat affiché de l'examen { $study } n'a pas de signe { $finding } ; rechargez la page
error-no-reason = donnez une raison en un ou quelques mots
error-reason-long = la raison a { $n } caractères ; { $most } au plus
error-no-such-model = aucun modèle installé ne s'appelle { $name } ni n'a une empreinte qui commence ainsi ; voyez `appliance model list`
error-ambiguous-model = { $name } correspond à { $count } modèles installés ; donnez plus de chiffres de l'empreinte
error-killed = le modèle { $name } est désactivé ; réactivez-le d'abord par `appliance model revive`
error-no-earlier = il n'y a pas de modèle antérieur
error-no-trial = aucun nouveau réglage n'attend d'être gardé
error-trial-late = trop tard : { $why } ; les anciens réglages sont en vigueur
error-no-alarm = il n'y a pas d'alarme ouverte { $alarm }
error-no-scanner = il n'y a pas d'appareil { $scanner } dont les examens sont surveillés

## Diagnostics, par l'étiquette du modèle

diagnosis-cyst_arachnoid_cyst = kyste arachnoïdien
diagnosis-cyst_colloid_cyst = kyste colloïde
diagnosis-developmental_dandy_walker_malformation = malformation de Dandy-Walker
diagnosis-developmental_dysgenesis_corpus_callosum = dysgénésie du corps calleux
diagnosis-developmental_heterotopia = hétérotopie
diagnosis-infectious_brain_abscess = abcès cérébral
diagnosis-infectious_viral_encephalitis = encéphalite virale
diagnosis-inflammatory_multiple_sclerosis = sclérose en plaques
diagnosis-inflammatory_neurosarcoid = neurosarcoïdose
diagnosis-sellar_craniopharyngioma = craniopharyngiome
diagnosis-sellar_pituitary_adenoma = adénome hypophysaire
diagnosis-sellar_rathkes_cleft_cyst = kyste de la poche de Rathke
diagnosis-spine_syrinx = syringomyélie
diagnosis-structural_brain_herniation = engagement cérébral
diagnosis-structural_cephaloceles = céphalocèles
diagnosis-structural_cerebral_atrophy = atrophie cérébrale
diagnosis-structural_chiari_malformation = malformation de Chiari
diagnosis-structural_edema = œdème
diagnosis-structural_encephalomalacia = encéphalomalacie
diagnosis-structural_mass_effect = effet de masse
diagnosis-structural_midline_shift = déviation de la ligne médiane
diagnosis-surgical_catheter = cathéter
diagnosis-surgical_craniotomy = craniotomie
diagnosis-surgical_resection_cavity = cavité de résection
diagnosis-trauma_brain_contusion = contusion cérébrale
diagnosis-trauma_diffuse_axonal_injury = lésions axonales diffuses
diagnosis-trauma_subdural_hematoma = hématome sous-dural
diagnosis-tumor_adult_brain_metastasis = métastase cérébrale
diagnosis-tumor_adult_glioma = gliome
diagnosis-tumor_adult_high_grade_glioma = gliome de haut grade
diagnosis-tumor_adult_low_grade_glioma = gliome de bas grade
diagnosis-tumor_adult_lymphoma = lymphome
diagnosis-tumor_adult_meningioma = méningiome
diagnosis-tumor_adult_pineal_tumor = tumeur pinéale
diagnosis-tumor_adult_schwannoma = schwannome
diagnosis-tumor_pediatric_brainstem_glioma = gliome du tronc cérébral (pédiatrique)
diagnosis-tumor_pediatric_ependymoma = épendymome (pédiatrique)
diagnosis-tumor_pediatric_germ_cell_tumor = tumeur germinale (pédiatrique)
diagnosis-tumor_pediatric_medulloblastoma = médulloblastome (pédiatrique)
diagnosis-tumor_pediatric_pilocytic_astrocytoma = astrocytome pilocytique (pédiatrique)
diagnosis-vascular_hemorrhagic_intracranial_hemorrhage = hémorragie intracrânienne
diagnosis-vascular_hemorrhagic_intraventricular_hemorrhage = hémorragie intraventriculaire
diagnosis-vascular_hemorrhagic_subarachnoid_hemorrahage = hémorragie sous-arachnoïdienne
diagnosis-vascular_ischemic_lacunar_stroke = AVC lacunaire
diagnosis-vascular_ischemic_large_vessel_stroke = AVC d'un gros vaisseau
diagnosis-vascular_ischemic_moyamoya = moyamoya
diagnosis-vascular_ischemic_small_vessel_disease = maladie des petits vaisseaux
diagnosis-vascular_malformation_arteriovenous_malformation = malformation artérioveineuse
diagnosis-vascular_malformation_cavernoma = cavernome
diagnosis-vascular_malformation_cerebral_aneurysm = anévrisme cérébral
diagnosis-ventricular_intracranial_hypotension = hypotension intracrânienne
diagnosis-ventricular_ventriculomegaly = ventriculomégalie
