### The pages in English, the reference for the other languages.

## Around every page

frame-title = Brain MRI triage
frame-skip = Skip to the content
frame-pages = Pages
frame-worklist = Worklist
frame-system = System
frame-problems = { $n ->
    [one] { $n } problem
   *[other] { $n } problems
}
frame-users = Users
frame-you = You: { $name }
frame-log-out = Log out
frame-untrained-mark = UNTRAINED MODEL.
frame-untrained = Findings, acuity and order mean nothing: { $statement }.
frame-simulated-mark = MODEL OF SIMULATED DATA.
frame-simulated = Never tried on patients; do not rely on findings, acuity or order: { $statement }.
frame-trial-mark = NEW NETWORK SETTINGS ON TRIAL.
frame-trial = Those from before come back in { $span } unless an administrator keeps the new ones.
frame-trial-keep = Keep them
frame-model = Model { $name }
frame-no-model = No model is in use: studies are listed by age. Research use; not a medical device.
frame-version = Version { $version }
language-label = Language
language-set = Use
language-unreviewed = This translation was not yet reviewed by a native speaker; where in doubt, the English text holds.

## Counts, times and patients

count-images = { $n ->
    [one] { $n } image
   *[other] { $n } images
}
count-images-of = { $n } of { $expected ->
    [one] { $expected } image
   *[other] { $expected } images
}
count-files = { $n ->
    [one] { $n } file
   *[other] { $n } files
}
count-attempts = { $n ->
    [one] { $n } attempt
   *[other] { $n } attempts
}
time-just-now = just now
time-ago = { $span } ago
time-unknown = at an unknown time
span-seconds = { $n } s
span-minutes = { $n } min
span-hours = { $n } h
span-days = { $n } days
age-years = { $n ->
    [one] { $n } year
   *[other] { $n } years
}
age-months = { $n ->
    [one] { $n } month
   *[other] { $n } months
}
age-weeks = { $n ->
    [one] { $n } week
   *[other] { $n } weeks
}
age-days = { $n ->
    [one] { $n } day
   *[other] { $n } days
}
age-sex-unknown = age and sex unknown
sex-other = other sex
patient-no-name = (no name)

## Acuity, urgency, states and marks

acuity-label = Acuity
acuity-high = HIGH
acuity-medium = MEDIUM
acuity-low = LOW
acuity-none = NONE
acuity-unknown = UNKNOWN
acuity-not-yet = NOT YET
urgency-routine = routine
urgency-soon = soon
urgency-urgent = urgent
urgency-emergency = emergency
state-late = late images arriving: { $images } so far
state-receiving = receiving: { $images } so far
state-waiting = complete, waiting for analysis ({ $images })
state-analysing = analysing ({ $images })
state-not-analysed = not analysed ({ $images })
state-complete = complete ({ $images })
state-analysed = analysed ({ $images })
mark-overdue = OVERDUE
mark-overdue-why = waited { $span } too long
mark-partial = PARTIAL
mark-partial-why = images that the scanner announced are missing
mark-late = LATE IMAGES
mark-late-why = images came after the study was complete
mark-set = SET BY READER
mark-set-why = a reader set { $acuity }
mark-hospital-dead = NOT AT HOSPITAL
mark-hospital-dead-why = the referral did not get to the hospital: { $why }
mark-hospital-waits = NOT SENT YET
mark-hospital-waits-why = the referral has waited { $span } to get to the hospital
mark-accepted = ACCEPTED
mark-declined = DECLINED
mark-completed = ANSWERED
mark-answer-why = by { $name }, { $ago }

## Worklist

queue-all-open = All open
queue-all = All
queue-urgent = Urgent
queue-review = Review
queue-not-analysed = Not analysed
queue-done = Done
queue-empty = No study is waiting: all are done.
queue-empty-urgent = No urgent study is waiting.
queue-empty-review = No study is waiting for review.
queue-empty-not-analysed = Every study that is complete was analysed.
queue-empty-done = No study is done yet.
worklist-title = Worklist
worklist-arrivals = Latest arrivals
worklist-queues = Queues
worklist-search = Search
worklist-search-label = Patient name, ID or accession number
worklist-live = Back to the live list
worklist-empty-title = Nothing has arrived yet
worklist-empty = Type this into the scanner as a new network node (also called DICOM destination or archive):
worklist-empty-next = Then send a study. It shows here while its first images arrive.
worklist-no-fit = No study fits
worklist-no-fit-words = Every word must occur in the patient's name, the patient ID or the accession number.
worklist-no-fit-letters = A few letters of a name are enough.
worklist-no-id = no patient ID
worklist-more = and { $n } more
worklist-done = Done
worklist-pages = More studies
worklist-paging = { $from } to { $to } of { $total }
worklist-back = Earlier in the list
worklist-next = Further down the list
worklist-as-of = As of { $now }.
worklist-reloads = This page loads itself again every { $seconds } seconds.
worklist-reloads-not = This page does not load itself again while you search.
worklist-order = Worst first; a study that has waited too long comes before all others.
live-yes = Live: what is new shows here by itself.
live-polls = Not live: this list asks again every { $seconds } seconds.
live-silent = Not live: the box does not answer, and this list is old.
live-new = { $n } new or changed: show
live-study = Something new about this study: show
worklist-keys = J and K go down and up the list, Enter opens a study, Escape leaves the list. Rows stay in place while the pointer or the keys are on them.
receive-ae-title = AE title
receive-address = Address
receive-or = or
receive-port = Port
receive-tls-port = Port for TLS

## Study

study-no-description = (no description)
study-not-analysed = Not analysed:
study-queue = Queue: { $queue }
study-unaided = Read this study without help of the model.
study-untrained-mark = This result is of an untrained model:
study-untrained = the numbers are random and mean nothing.
study-simulated-mark = This result is of a model of simulated data:
study-simulated = it was never tried on patients; do not rely on it.
study-arrived = Arrived
fact-patient-id = Patient ID
fact-born = Born
fact-accession = Accession
fact-study-date = Study date
fact-body-part = Body part
fact-scanner = Scanner
fact-institution = Institution
fact-referrer = Referred by
fact-study-uid = Study UID
decide-title = Decide
decide-reopen = Open again
decide-done = Mark as done
decide-acuity = Change the acuity
decide-why = Why? (needed)
decide-new-acuity = New acuity
explanation-title = Where the score of { $finding } comes from
explanation-failed = There is no picture: { $why }.
explanation-alt = Slice { $n } of { $series }; tinted are the places that raise the score of { $finding }, numbered from the one that raises it most
explanation-text = Tinted places of { $series } raise the score; 1 raises it most.
explanation-how = LIME with { $samples } samples, R² { $fit }
explanation-other-version = it was stored by another version of this program
explanation-deleted = it was deleted with the images, to make room
preview-warning = AI preview, not for diagnosis: a place without tint may still be ill.
findings-title = Findings of the model
findings-acuity = The model's acuity comes from: { $reasons }.
findings-no-finding = no finding at or above its threshold
findings-none = No finding reached its threshold. That does not mean the study is normal.
findings-no-result = There is no result to show.
findings-withheld = Not reported at this site: { $finding }. { $reason }
findings-all = All { $n } scores
findings-scores = A score is not a probability. What stands at or above its threshold is a finding.
finding-probability = probability { $share }
finding-score = score { $score }, threshold { $threshold }, margin { $margin }
finding-margin = { $margin } above its threshold
finding-agree = Agree
finding-disagree = Disagree
finding-with = with { $finding }
finding-reason = Reason
finding-other-reason = Another reason
finding-not-judged = not judged here yet
finding-right = right { $agreed } of { $judged } times here: PPV { $ppv } (95 % interval { $low } to { $high })
finding-overridden = overridden in { $share } of { $reviewed } reviewed
reason-not-there = not there
reason-known = known already
reason-artefact = artefact or motion
reason-variant = normal variant
reason-explained = explained otherwise
referrals-title = Suggested referrals
referrals-rules = Rules { $version } ({ $digest }), { $approved }.
referrals-approved = approved by { $name }
referrals-not-approved = approved by nobody at this site
hospital-title = Referral hospital
hospital-waiting = The referral waits to be sent
hospital-there = The hospital has the referral
hospital-dead = The referral did not get there: { $why }
hospital-withdrawn-waiting = The referral was taken back, which the hospital does not know yet
hospital-withdrawn-there = The referral was taken back, which the hospital knows
hospital-lost = { $n ->
    [one] { $n } message of this study was given up; see the page System.
   *[other] { $n } messages of this study were given up; see the page System.
}
hospital-received = Nobody there has looked at it yet
hospital-accepted = Accepted
hospital-declined = Declined
hospital-completed = Completed
hospital-note = Note
hospital-actions = Please do
decisions-title = Decisions
decisions-undo = Take back
decision-agree = agreed with { $finding }
decision-disagree = disagreed with { $finding }
decision-acuity = set acuity { $acuity }
decision-done = marked as done
decision-reopened = opened again
decision-undone = taken back { $ago } by { $name }
context-title = Clinical context
context-typed = typed here
context-none = none was sent
context-sent = sent by the scanner
context-label = Why the study was made; a model that reads it scores again
context-save = Save the context
context-from-scanner = Use the scanner's again
context-read = The result shown has read a clinical context.
context-unread = The result shown has read no clinical context.
series-title = Series
series-deleted = The images were deleted to make room; results are kept.
series-middle = Middle slice
series-looked-at = Looked at
series-left-out = Not looked at
series-arrived = As they arrived: { $n } series
series-images = { $n } images
series-images-of = { $n } of { $expected } images
series-used = { $plane }, { $size }, { $tokens } of { $patches } patches used
plane-axial = axial
plane-coronal = coronal
plane-sagittal = sagittal
priors-title = Other studies with this patient ID
priors-read = read
priors-read-deleted = read; its images were deleted
priors-unread = not read yet
priors-elsewhere = in { $archive }
timeline-title = What happened
timeline-first = first image arrived
timeline-last = latest image arrived, { $images } in all
timeline-complete = complete
timeline-complete-again = complete for the { $n }. time
timeline-partial = with announced images missing
timeline-decided = { $what }, by { $name }
timeline-undone = taken back by { $name }: { $what }
timeline-deleted = images deleted to make room; results are kept
delivery-report = report
delivery-picture = picture
delivery-sent = { $kind } sent to { $archive }
delivery-segmentation = segmentation
delivery-committed = { $kind } sent to { $archive }, which has committed to keep it
delivery-refused = { $kind } not taken by { $archive }: { $why }
results-title = Results
results-none = No model has looked at this study yet.
results-shown = Shown above.
results-device = on { $device }
results-json = This study as JSON
results-line = Completion { $n }: { $text }
result-analysed = analysed
result-not-analysed = not analysed
result-hidden = looked at
result-hidden-why = which is switched off: its result is not shown
result-by = by { $model }
result-by-digest = by model { $digest }
result-on = on { $device } in { $seconds } s
result-context = with clinical context
result-partial = on a partial study

## Slices

slices-back = Back to { $patient }
slices-picture = Picture; the arrow keys scroll through the slices
slices-unoriented = Orientation unknown: the file does not say how the slice lies, so there are no letters.
slices-ways = Slices
slices-number = Slice
slices-show = Show
slices-overlay-show = Show where the score of { $finding } comes from
slices-overlay-hide = Hide where the score of { $finding } comes from
slices-overlay = Tinted places raise the score, red ones most.
slices-keys = Wheel, arrow keys, J and K scroll; Home and End go to the ends; dragging with the mouse changes brightness (up, down) and contrast (left, right); a finger drags through the slices.
slices-place = slice { $number } of { $count }
slices-none = There is no image in this series.
slices-unreadable = { $files } of this series cannot be shown; the first: { $first }.
slices-failed = This slice cannot be shown.
slices-loading = Loading the slice…
slices-no-answer = The box does not answer; go on scrolling to try again.
volume-link = In three dimensions
volume-back = Back to the slices
volume-needs = This view is drawn by JavaScript and WebGL 2. The slices need neither.
volume-scene = The series in three planes and as a body
volume-hands = Radiological convention: the patient's right is on the left. A click moves the cross, the wheel scrolls, dragging turns the body.
volume-loading = Loading the series…
volume-no-webgl = This browser has no WebGL 2, so the series cannot be drawn; look at its slices.
volume-failed = The series cannot be drawn; look at its slices.
volume-no-answer = The box does not answer; load the page again to try again.
volume-choices = Volumes of this series
way-first = First
way-previous = Previous
way-next = Next
way-last = Last
window-title = Brightness and contrast
window-now = Window centre and width now:
window-note = Grey values of MR have no unit, so no fixed window fits a tissue. "As stored" is the window that the scanner chose, or, where it chose none, one for the whole series; "from this slice" makes the darkest hundredth of this slice black and its brightest hundredth white; the others go on from what is shown.
window-stored = as stored
window-slice = from this slice
window-brighter = brighter
window-darker = darker
window-more-contrast = more contrast
window-less-contrast = less contrast
place-right = { $mm } mm right
place-left = { $mm } mm left
place-anterior = { $mm } mm anterior
place-posterior = { $mm } mm posterior
place-inferior = { $mm } mm inferior
place-superior = { $mm } mm superior

## System

system-title = System
system-checks = Checks
system-version = Version
system-running = Running for
system-time = The box's time
system-good = Everything works.
system-notices = { $n ->
    [one] Everything works, with { $n } notice.
   *[other] Everything works, with { $n } notices.
}
system-problems = { $n ->
    [one] { $n } problem to deal with.
   *[other] { $n } problems to deal with.
}
system-stale = the box has not looked at itself for { $span }; what stands below is old. Restart it
verdict-good = OK
verdict-notice = NOTICE
verdict-problem = PROBLEM
system-receiving = Receiving
system-senders = Sent images lately
system-no-senders = Nobody has sent an image.
system-connected = Connected now
system-no-connected = Nobody is connected.
system-peer = { $name } at { $address }
system-studies = Studies
system-arriving = Arriving
system-waiting = Waiting for analysis
system-analysing = Being analysed
system-models = Models
system-no-models = No model is installed.
model-use = Use
model-mode-off = off
model-mode-shadow = shadow
model-mode-assist = assist
model-killed = switched off
model-killed-since = since { $when }
model-self-test = Self-test
model-installed = Installed
model-weights = Weights
model-allow = Allow this model again
model-kill = Switch this model off now
model-untested = not tested yet
model-passed = passed: largest difference { $worst }, accepted { $tolerance }
model-passed-bare = passed; the model carries no values to compare with
model-failed = FAILED: it does not compute what it should
model-unreadable = cannot be read
system-quarantine = Set aside
system-no-quarantine = No image was set aside.
system-commitments = Storage commitments
system-no-commitments = No scanner has asked for one.
hospital-unsent = Not at the referral hospital
hospital-row-study = { $kind } of study { $study }
hospital-flag = referral
hospital-objects = result
hospital-series = images
hospital-other = report without a patient
hospital-again-which = message { $row }
archives-title = Results to others
archives-none = No archive or HL7 receiver is configured; results stay on this box.
archives-counts = { $sent } sent, { $waiting } waiting
archives-oldest = (oldest { $ago })
archives-refused = Not taken
archives-study = Study { $study }
archives-for = for { $archive }
archives-again = Send again
archives-again-which = the result of study { $study } to { $archive }
hub-title = Referral hospital
hub-address = Hub
hub-site = where this box is { $site }
hub-link = Link
hub-starting = not tried yet
hub-working = sending
hub-idle = all is sent
hub-waiting = no answer; it is tried again by itself
hub-barred = somebody has to act
hub-contact = Last answer
hub-never = never
hub-clock-behind = this box's clock is { $span } behind
hub-clock-ahead = this box's clock is { $span } ahead
hub-carries = Speed
hub-speed = about { $kbit } kbit/s
hub-images-wait = series wait for their hours
hub-sticks = none: what waits is carried by stick
hub-outbox = Waiting to be sent
hub-counts = referrals { $flags }, results { $results }, series { $series }, other { $other }
hub-oldest = (oldest referral { $ago })
system-events = Latest events
system-no-events = Nothing has happened.
settings-title = Settings in force
settings-how = They are changed in the settings file and hold from the next start on; `appliance check-config` checks the file before.
system-json = This page as JSON

## Quality

quality-title = Quality
quality-intro = Scanners, scores and readers are compared with what was normal here. An alarm is a reason to look, no proof of a fault.
quality-alarms = Alarms
quality-no-alarms = No alarm is open.
quality-since = Since { $when } { $what } ({ $why }).
quality-since-bare = Since { $when } { $what }.
quality-brighter = images of { $scanner } are { $part } brighter than before
quality-darker = images of { $scanner } are { $part } darker than before
quality-contrast-more = images of { $scanner } have { $part } more contrast than before
quality-contrast-less = images of { $scanner } have { $part } less contrast than before
quality-noise-more = images of { $scanner } have { $part } more noise than before
quality-noise-less = images of { $scanner } have { $part } less noise than before
quality-head-more = the head fills { $part } more of the images of { $scanner } than before
quality-head-less = the head fills { $part } less of the images of { $scanner } than before
quality-slices-more = series of { $scanner } have { $part } more slices than before
quality-slices-less = series of { $scanner } have { $part } fewer slices than before
quality-distance-more = slices of { $scanner } lie { $part } further apart than before
quality-distance-less = slices of { $scanner } lie { $part } closer together than before
quality-tokens-more = the model reads { $part } more of each series of { $scanner } than before
quality-tokens-less = the model reads { $part } less of each series of { $scanner } than before
quality-series = studies of { $scanner } have { $now } usable series on average instead of { $before }
quality-left-out = { $now } series or files of each study of { $scanner } cannot be used on average instead of { $before }
quality-priority-more = the model takes studies of { $scanner } for more urgent than before
quality-priority-less = the model takes studies of { $scanner } for less urgent than before
quality-age-more = patients of { $scanner } look older to the model than before
quality-age-less = patients of { $scanner } look younger to the model than before
quality-score-more = studies of { $scanner } score higher for { $finding } than before: { $now } on average instead of { $before }
quality-score-less = studies of { $scanner } score lower for { $finding } than before: { $now } on average instead of { $before }
quality-no-result = { $now } of the studies of { $scanner } get no result instead of { $before }
quality-override = readers change { $now } of the results for { $scanner } instead of { $before }
quality-psi = PSI { $psi }, above { $limit }
quality-software = software { $new } instead of { $old }
quality-others = { $n ->
    [one] { $n } other figure too
   *[other] { $n } other figures too
}
quality-advise-input = Results for its studies may be wrong: ask the radiologist to read the next ten without the list, and tell support.
quality-advise-scores = Results for its studies may be wrong: ask the radiologist to read the next ten without the list, and tell whoever answers for the model.
quality-advise-no-result = Read these studies without help of the model, look at the reasons on the worklist, and tell support.
quality-advise-override = Ask the readers what they change; if the model is wrong, switch it off on the system page.
quality-other-version = Scanner { $scanner }: another version of this program stored this alarm.
quality-opened = Opened
quality-seen = last seen
quality-found-out = What did you find out?
quality-acknowledge = I know of it
quality-known = Acknowledged { $ago } by { $name }
quality-closed-passed = It passed { $ago }.
quality-closed-normal = This was declared normal { $ago }.
quality-closed-model = Another model took over { $ago }.
quality-past = Past alarms
quality-scanners = Scanners
quality-no-scanners = The model in force has not looked at a study yet.
quality-looked = Last look:
quality-not-looked = Not looked at yet.
quality-learning = Learning what is normal: { $have } of { $need } studies.
quality-watched = Watched.
quality-chart-no-result = Studies without a result
quality-chart-override = Results that readers changed
quality-chart-rate = { $reference } in the reference; up to { $usual } is taken for usual, { $noticed } shall be noticed.
quality-chart-sum = Sum { $sum }, alarm at { $limit }.
quality-chart-promise = One false alarm in { $studies } studies on average; a real change is noticed after { $delay } on average.
quality-compared = What is compared
quality-quantity = Quantity
quality-before = Before
quality-now = Now
quality-index = PSI
quality-chance = Chance
quality-mark = Mark
quality-drifted = DRIFTED
quality-how = Ratios are to series of the same kind before, so that 1 is no change. PSI says how far two distributions are apart; chance is the probability of such a difference without a change, adjusted for the number of quantities.
quality-quantity-brightness = brightness (ratio)
quality-quantity-contrast = contrast (ratio)
quality-quantity-noise = noise (ratio)
quality-quantity-head = size of the head in the image (ratio)
quality-quantity-slices = slices of a series (ratio)
quality-quantity-distance = distance of slices (ratio)
quality-quantity-tokens = what the model reads of a series (ratio)
quality-quantity-series = usable series of a study
quality-quantity-left-out = series or files that cannot be used
quality-quantity-priority = urgency
quality-quantity-age = age by the images
quality-quantity-score = score of { $finding }
quality-normal = Declare a new normal
quality-normal-how = The reference is made anew: of the studies since the alarm began, or, without an alarm, of the next ones. Alarms of this scanner are closed. Nothing is compared until there are enough studies.
quality-normal-set = This is normal now
quality-findings = How often findings are right
quality-findings-how = By the judgement of readers here. Groups with fewer than { $least } judged findings are not shown.
quality-share = { $agreed } of { $judged } right: PPV { $ppv } (95 % interval { $low } to { $high })
quality-age = { $band } years
quality-low = LOWER
quality-few = { $n ->
    [one] { $n } more finding was judged too rarely.
   *[other] { $n } more findings were judged too rarely.
}

## Users and logging in

users-title = Users
users-once = It is shown this once and stored nowhere.
users-who = Who may log in
users-kept-out = KEPT OUT
users-no-password = has not chosen a password yet
users-role-of = Role of { $name }
users-set-role = Set the role
users-set-role-of = of { $name }
users-reset = New password
users-reset-for = for { $name }
users-enable = Let in again
users-disable = Keep out
users-add-title = Add a user
users-name = Name
users-role = Role
users-add = Add
users-tech = sees studies, gives clinical context, sends results again
users-reader = that, and decides on studies
users-service = sees the system page and models, and no patient
users-admin = all of this, and users
users-added = { $name } was added. The password for the first login is
users-was-reset = { $name } is logged out everywhere. The password for the next login is
users-role-now = { $name } is { $role } now.
users-disabled = { $name } cannot log in any more.
users-enabled = { $name } can log in again.
tokens-title = Tokens of programs
tokens-none = No program has one.
tokens-rights = with the rights of { $name }
tokens-used = last used
tokens-revoke = Make void
tokens-revoke-which = the token of { $program } for { $name }
tokens-program = Program
tokens-rights-of = with the rights of
tokens-add = Make a token
tokens-added = { $program } acts for { $name } with the token
tokens-revoked = The token of { $program } for { $name } is void.
login-title = Log in
login-name = Name
login-password = Password
login-users = The administrator of this box makes users and new passwords.
login-lasts = A login lasts ten hours, or an hour without a page open.
login-refused = This name and this password do not belong together.
setup-page = First user
setup-title = The first user of this box
setup-text = Nobody can log in yet. Whoever you enter here is its administrator and adds the others.
setup-code = Code, printed where the box was started
setup-name = Name, as it should stand beside decisions
setup-password = Password, at least { $n } characters; a few words in a row are easy to remember
setup-button = Make this user
account-title = Your account
account-must-change = Choose a password of your own: the present one was made by the box and opens nothing else.
account-present = Present password
account-new = New password, at least { $n } characters; a few words in a row are easy to remember
account-again = New password again
account-change = Change the password
account-elsewhere = Changing it logs you out everywhere else.

## Errors. They begin with a small letter and have no full stop: the page adds both.

title-400 = Bad Request
title-401 = Unauthorized
title-403 = Forbidden
title-404 = Not Found
title-405 = Method Not Allowed
title-409 = Conflict
title-410 = Gone
title-421 = Misdirected Request
title-422 = Unprocessable Entity
title-429 = Too Many Requests
title-500 = Internal Server Error
title-503 = Service Unavailable
title-507 = Insufficient Storage
error-home = To the worklist
error-internal = something inside the box failed, and nothing was changed; try again, and if it stays so, call support and open the system page
error-disk-full = nothing was saved because the disk is full; see the system page
error-busy = the box took too long to answer; try again
error-no-page = there is no page { $page }
error-no-study = there is no study { $study }
error-no-picture = study { $study } has no such picture
error-no-series = study { $study } has no series { $series }
error-no-slice = there is no slice { $slice }; the series has { $count }, counted from 1
error-no-volume = there is no volume { $volume }; the series has { $count }, counted from 1
error-volume-places = this series is no volume: its slices do not say where they lie, or they differ in size or direction
error-volume-one = this series is no volume: it has one slice
error-volume-uneven = this series is no volume: a slice lies { $off } mm from where an even stack has it
error-volume-large = this series is too large for a volume: { $size } voxels, and { $most } are the most
error-volume-colour = this series is in colour, and volumes are made of grey values
error-series-changed = the series has changed since the page was loaded; load it again
error-evicted = the images of study { $study } were deleted to make room; its results are kept
error-slice = this slice cannot be shown: { $why }
error-no-delivery = no delivery { $delivery } was given up; it may have been sent again already
error-no-result = study { $study } has no result { $result } that can be shown
error-method = this address cannot be used in this way
error-host = this box is not known as { $host }; open it by its IP address, or add the name to `web.host_names` in its configuration
error-origin = this was not sent from a page of this box; open the page again, or, from a program, send the header `Authorization: Bearer TOKEN`
error-log-in = log in first; a program sends the header `Authorization: Bearer TOKEN` with a token that the users page or `appliance user token` makes
error-new-password = choose a password of your own first, on the page /account
error-role = your role here is { $role }, which may not { $right }; ask the administrator of this box
right-operate = look after the box
right-patients = see patients
right-decide = decide on studies
right-models = choose models
right-reference = declare a new normal
right-users = change users
right-settings = keep new settings
error-wait = too many wrong guesses; wait { $n ->
    [one] { $n } second
   *[other] { $n } seconds
} and try again
error-setup-code = this is not the code of this box; it was printed where `appliance serve` was started, and each start without users makes a new one
error-password-short = the password has { $n } characters; at least { $least } are needed, and a few words in a row are easy to remember
error-password-long = the password has { $n } characters; { $most } are the most
error-password-name = the password is the name; choose another one
error-password-other = the present password is another one
error-password-twice = the new password was typed in two ways
error-password-same = the new password is the present one
error-user-name = { $name } cannot be a name; give 1 to { $most } characters without `:` and control characters
error-user-exists = there is a user { $name } already
error-no-user = there is no user { $name }
error-last-admin = { $name } is the only administrator; make another one first
error-not-first = this box has users already; ask its administrator to add you
error-token-exists = { $name } has a token for { $program } already; revoke it first
error-no-token = { $name } has no token for { $program }
error-no-role = there is no role { $role }; there are { $known }
error-no-action = there is no action { $action }
error-no-queue = there is no queue { $queue }; there are { $known }
error-no-language = there is no language { $language }; there are { $known }
error-number = the number in the address is not a number
error-too-long = the text is too long; 64 KiB are the most
error-context-long = the context has { $n } characters; { $most } are the most
error-choose-acuity = choose an acuity
error-no-decision-kind = there is no decision { $kind }
error-no-decision = there is no decision { $decision }
error-already-undone = decision { $decision } is undone already
error-no-finding = the result shown for study { $study } has no finding { $finding }; load the page again
error-no-reason = give a reason in one or a few words
error-reason-long = the reason has { $n } characters; { $most } are the most
error-no-such-model = no installed model is called { $name } or has a digest that begins so; see `appliance model list`
error-ambiguous-model = { $name } fits { $count } installed models; give more digits of the digest
error-killed = the kill switch of { $name } is on; release it first with `appliance model revive`
error-no-earlier = there is no earlier model to go back to
error-no-trial = no new settings wait to be kept
error-trial-late = too late: { $why }; the settings from before are in force
error-no-alarm = there is no open alarm { $alarm }
error-no-scanner = there is no scanner { $scanner } whose studies are watched

## Diagnoses, by the label of the model

diagnosis-cyst_arachnoid_cyst = arachnoid cyst
diagnosis-cyst_colloid_cyst = colloid cyst
diagnosis-developmental_dandy_walker_malformation = dandy walker malformation
diagnosis-developmental_dysgenesis_corpus_callosum = dysgenesis corpus callosum
diagnosis-developmental_heterotopia = heterotopia
diagnosis-infectious_brain_abscess = brain abscess
diagnosis-infectious_viral_encephalitis = viral encephalitis
diagnosis-inflammatory_multiple_sclerosis = multiple sclerosis
diagnosis-inflammatory_neurosarcoid = neurosarcoid
diagnosis-sellar_craniopharyngioma = craniopharyngioma
diagnosis-sellar_pituitary_adenoma = pituitary adenoma
diagnosis-sellar_rathkes_cleft_cyst = rathkes cleft cyst
diagnosis-spine_syrinx = syrinx
diagnosis-structural_brain_herniation = brain herniation
diagnosis-structural_cephaloceles = cephaloceles
diagnosis-structural_cerebral_atrophy = cerebral atrophy
diagnosis-structural_chiari_malformation = chiari malformation
diagnosis-structural_edema = edema
diagnosis-structural_encephalomalacia = encephalomalacia
diagnosis-structural_mass_effect = mass effect
diagnosis-structural_midline_shift = midline shift
diagnosis-surgical_catheter = catheter
diagnosis-surgical_craniotomy = craniotomy
diagnosis-surgical_resection_cavity = resection cavity
diagnosis-trauma_brain_contusion = brain contusion
diagnosis-trauma_diffuse_axonal_injury = diffuse axonal injury
diagnosis-trauma_subdural_hematoma = subdural hematoma
diagnosis-tumor_adult_brain_metastasis = brain metastasis
diagnosis-tumor_adult_glioma = glioma
diagnosis-tumor_adult_high_grade_glioma = high grade glioma
diagnosis-tumor_adult_low_grade_glioma = low grade glioma
diagnosis-tumor_adult_lymphoma = lymphoma
diagnosis-tumor_adult_meningioma = meningioma
diagnosis-tumor_adult_pineal_tumor = pineal tumor
diagnosis-tumor_adult_schwannoma = schwannoma
diagnosis-tumor_pediatric_brainstem_glioma = brainstem glioma (paediatric)
diagnosis-tumor_pediatric_ependymoma = ependymoma (paediatric)
diagnosis-tumor_pediatric_germ_cell_tumor = germ cell tumor (paediatric)
diagnosis-tumor_pediatric_medulloblastoma = medulloblastoma (paediatric)
diagnosis-tumor_pediatric_pilocytic_astrocytoma = pilocytic astrocytoma (paediatric)
diagnosis-vascular_hemorrhagic_intracranial_hemorrhage = intracranial hemorrhage
diagnosis-vascular_hemorrhagic_intraventricular_hemorrhage = intraventricular hemorrhage
diagnosis-vascular_hemorrhagic_subarachnoid_hemorrahage = subarachnoid hemorrhage
diagnosis-vascular_ischemic_lacunar_stroke = lacunar stroke
diagnosis-vascular_ischemic_large_vessel_stroke = large vessel stroke
diagnosis-vascular_ischemic_moyamoya = moyamoya
diagnosis-vascular_ischemic_small_vessel_disease = small vessel disease
diagnosis-vascular_malformation_arteriovenous_malformation = arteriovenous malformation
diagnosis-vascular_malformation_cavernoma = cavernoma
diagnosis-vascular_malformation_cerebral_aneurysm = cerebral aneurysm
diagnosis-ventricular_intracranial_hypotension = intracranial hypotension
diagnosis-ventricular_ventriculomegaly = ventriculomegaly
