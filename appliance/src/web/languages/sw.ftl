### Kurasa kwa Kiswahili. Kiingereza (en.ftl) ndicho marejeo.

## Kuzunguka kila ukurasa

frame-title = Triage ya MRI ya ubongo
frame-skip = Nenda kwenye maudhui
frame-pages = Kurasa
frame-worklist = Orodha ya kazi
frame-system = Mfumo
frame-problems = { $n ->
    [one] tatizo { $n }
   *[other] matatizo { $n }
}
frame-users = Watumiaji
frame-you = Wewe: { $name }
frame-log-out = Ondoka
frame-untrained-mark = MODELI HAIJAFUNZWA.
frame-untrained = Matokeo, kiwango cha dharura na mpangilio havina maana: { $statement }.
frame-simulated-mark = MODELI YA DATA YA KUIGIZA.
frame-simulated = Haijawahi kujaribiwa kwa wagonjwa; usitegemee matokeo, kiwango cha dharura wala mpangilio: { $statement }.
frame-trial-mark = MIPANGILIO MIPYA YA MTANDAO INAJARIBIWA.
frame-trial = Ya awali itarudi baada ya { $span } msimamizi asipoihifadhi mipya.
frame-trial-keep = Ihifadhi
frame-model = Modeli { $name }
frame-no-model = Hakuna modeli inayotumika: vipimo vinapangwa kwa muda wa kufika. Kwa utafiti tu; si kifaa cha tiba.
frame-version = Toleo { $version }
language-label = Lugha
language-set = Tumia
language-unreviewed = Tafsiri hii bado haijapitiwa na mzungumzaji asilia; penye shaka, maandishi ya Kiingereza ndiyo sahihi.

## Hesabu, muda na wagonjwa

count-images = { $n ->
    [one] picha { $n }
   *[other] picha { $n }
}
count-images-of = { $n } kati ya { $expected ->
    [one] picha { $expected }
   *[other] picha { $expected }
}
count-files = { $n ->
    [one] faili { $n }
   *[other] faili { $n }
}
count-attempts = { $n ->
    [one] jaribio { $n }
   *[other] majaribio { $n }
}
time-just-now = sasa hivi
time-ago = { $span } zilizopita
time-unknown = wakati usiojulikana
span-seconds = sek { $n }
span-minutes = dak { $n }
span-hours = saa { $n }
span-days = siku { $n }
age-years = { $n ->
    [one] mwaka { $n }
   *[other] miaka { $n }
}
age-months = { $n ->
    [one] mwezi { $n }
   *[other] miezi { $n }
}
age-weeks = { $n ->
    [one] wiki { $n }
   *[other] wiki { $n }
}
age-days = { $n ->
    [one] siku { $n }
   *[other] siku { $n }
}
age-sex-unknown = umri na jinsia havijulikani
sex-other = jinsia nyingine
patient-no-name = (hakuna jina)

## Kiwango cha dharura, hali na alama

acuity-label = Kiwango cha dharura
acuity-high = JUU
acuity-medium = WASTANI
acuity-low = CHINI
acuity-none = HAKUNA
acuity-unknown = HAIJULIKANI
acuity-not-yet = BADO
urgency-routine = kawaida
urgency-soon = hivi karibuni
urgency-urgent = haraka
urgency-emergency = dharura
state-late = picha zilizochelewa zinafika: { $images } hadi sasa
state-receiving = inapokea: { $images } hadi sasa
state-waiting = kamili, inasubiri uchambuzi ({ $images })
state-analysing = inachambuliwa ({ $images })
state-not-analysed = haikuchambuliwa ({ $images })
state-complete = kamili ({ $images })
state-analysed = imechambuliwa ({ $images })
mark-overdue = IMECHELEWA
mark-overdue-why = imesubiri { $span } kupita kiasi
mark-partial = PUNGUFU
mark-partial-why = picha ambazo mashine ilitangaza hazipo
mark-late = PICHA ZA BAADAYE
mark-late-why = picha zilikuja baada ya kipimo kukamilika
mark-set = IMEPANGWA NA MSOMAJI
mark-set-why = msomaji aliweka { $acuity }
mark-hospital-dead = HAIJAFIKA HOSPITALINI
mark-hospital-dead-why = rufaa haikufika hospitalini: { $why }
mark-hospital-waits = BADO HAIJATUMWA
mark-hospital-waits-why = rufaa imesubiri { $span } kufika hospitalini
mark-accepted = IMEKUBALIWA
mark-declined = IMEKATALIWA
mark-completed = IMEJIBIWA
mark-answer-why = na { $name }, { $ago }

## Orodha ya kazi

queue-all-open = Vyote vilivyo wazi
queue-all = Vyote
queue-urgent = Dharura
queue-review = Kupitia
queue-not-analysed = Havijachambuliwa
queue-done = Vilivyokamilika
queue-empty = Hakuna kipimo kinachosubiri: vyote vimekamilika.
queue-empty-urgent = Hakuna kipimo cha dharura kinachosubiri.
queue-empty-review = Hakuna kipimo kinachosubiri kupitiwa.
queue-empty-not-analysed = Kila kipimo kilicho kamili kimechambuliwa.
queue-empty-done = Hakuna kipimo kilichokamilika bado.
worklist-title = Orodha ya kazi
worklist-arrivals = Vilivyofika karibuni
worklist-queues = Foleni
worklist-search = Tafuta
worklist-search-label = Jina la mgonjwa, namba yake au namba ya kipimo
worklist-live = Rudi kwenye orodha
worklist-empty-title = Hakuna kilichofika bado
worklist-empty = Andika haya kwenye mashine ya MRI kama kituo kipya cha mtandao (pia huitwa DICOM destination au archive):
worklist-empty-next = Kisha tuma kipimo. Kitaonekana hapa picha zake za kwanza zinapofika.
worklist-no-fit = Hakuna kipimo kinachofanana
worklist-no-fit-words = Kila neno lazima liwe katika jina la mgonjwa, namba yake au namba ya kipimo.
worklist-no-fit-letters = Herufi chache za jina zinatosha.
worklist-no-id = hakuna namba ya mgonjwa
worklist-more = na { $n } zaidi
worklist-done = Imekamilika
worklist-pages = Vipimo zaidi
worklist-paging = { $from } hadi { $to } kati ya { $total }
worklist-back = Juu katika orodha
worklist-next = Chini katika orodha
worklist-as-of = Hali ya { $now }.
worklist-reloads = Ukurasa huu unajipakia upya kila sekunde { $seconds }.
worklist-reloads-not = Ukurasa huu haujipakii upya unapotafuta.
worklist-order = Vibaya zaidi kwanza; kipimo kilichosubiri mno huja kabla ya vyote.
live-yes = Moja kwa moja: mapya yanaonekana hapa yenyewe.
live-polls = Si moja kwa moja: orodha huulizwa tena kila sekunde { $seconds }.
live-silent = Si moja kwa moja: kifaa hakijibu, na orodha hii ni ya zamani.
live-new = { $n } mpya au zilizobadilika: onyesha
live-study = Kuna jipya kuhusu uchunguzi huu: onyesha
worklist-keys = J na K hushuka na kupanda orodha, Enter hufungua uchunguzi, Escape hutoka kwenye orodha. Safu hazisogei zikiwa chini ya kielekezi au kibodi.
receive-ae-title = AE title
receive-address = Anwani
receive-or = au
receive-port = Port
receive-tls-port = Port ya TLS

## Kipimo

study-no-description = (hakuna maelezo)
study-not-analysed = Haikuchambuliwa:
study-queue = Foleni: { $queue }
study-unaided = Soma kipimo hiki bila msaada wa modeli.
study-untrained-mark = Matokeo haya ni ya modeli isiyofunzwa:
study-untrained = namba ni za kubahatisha na hazina maana.
study-simulated-mark = Matokeo haya ni ya modeli ya data ya kuigiza:
study-simulated = haijawahi kujaribiwa kwa wagonjwa; usiitegemee.
study-arrived = Ilifika
fact-patient-id = Namba ya mgonjwa
fact-born = Alizaliwa
fact-accession = Namba ya kipimo
fact-study-date = Tarehe ya kipimo
fact-body-part = Sehemu ya mwili
fact-scanner = Mashine
fact-institution = Kituo
fact-referrer = Aliyeelekeza
fact-study-uid = Study UID
decide-title = Amua
decide-reopen = Fungua tena
decide-done = Weka kuwa imekamilika
decide-acuity = Badili kiwango cha dharura
decide-why = Kwa nini? (lazima)
decide-new-acuity = Kiwango kipya cha dharura
explanation-title = Alama ya { $finding } inatoka wapi
explanation-failed = Hakuna picha: { $why }.
explanation-alt = Slaisi { $n } ya { $series }; sehemu zenye rangi zinapandisha alama ya { $finding }, zimepewa namba kuanzia ile inayopandisha zaidi
explanation-text = Sehemu zenye rangi za { $series } zinapandisha alama; 1 inapandisha zaidi.
explanation-how = LIME kwa sampuli { $samples }, R² { $fit }
explanation-other-version = ilihifadhiwa na toleo lingine la programu hii
explanation-deleted = ilifutwa pamoja na picha, ili kupata nafasi
preview-warning = Onyesho la AI, si kwa utambuzi wa ugonjwa: sehemu isiyo na rangi bado inaweza kuwa na ugonjwa.
findings-title = Matokeo ya modeli
findings-acuity = Kiwango cha dharura cha modeli kinatokana na: { $reasons }.
findings-no-finding = hakuna tokeo lililofikia kizingiti chake
findings-none = Hakuna tokeo lililofikia kizingiti chake. Hiyo haimaanishi kwamba kipimo ni cha kawaida.
findings-no-result = Hakuna matokeo ya kuonyesha.
findings-withheld = Hairipotiwi hapa: { $finding }. { $reason }
findings-all = Alama zote { $n }
findings-scores = Alama si uwezekano. Kinachofikia kizingiti chake ni tokeo.
finding-probability = uwezekano { $share }
finding-score = alama { $score }, kizingiti { $threshold }, tofauti { $margin }
finding-margin = { $margin } juu ya kizingiti chake
finding-agree = Kubali
finding-disagree = Kataa
finding-with = { $finding }
finding-reason = Sababu
finding-other-reason = Sababu nyingine
finding-not-judged = bado haijapimwa hapa
finding-right = sahihi mara { $agreed } kati ya { $judged } hapa: PPV { $ppv } (kipindi cha 95 % { $low } hadi { $high })
finding-overridden = kiwango kilibadilishwa katika { $share } ya { $reviewed } vilivyopitiwa
reason-not-there = haipo
reason-known = inajulikana tayari
reason-artefact = artefact au kusogea
reason-variant = tofauti ya kawaida
reason-explained = sababu nyingine
referrals-title = Rufaa zinazopendekezwa
referrals-rules = Kanuni { $version } ({ $digest }), { $approved }.
referrals-approved = zimeidhinishwa na { $name }
referrals-not-approved = hazijaidhinishwa na yeyote hapa
hospital-title = Hospitali ya rufaa
hospital-waiting = Rufaa inasubiri kutumwa
hospital-there = Hospitali ina rufaa
hospital-dead = Rufaa haikufika: { $why }
hospital-withdrawn-waiting = Rufaa imeondolewa, na hospitali bado haijui
hospital-withdrawn-there = Rufaa imeondolewa, na hospitali inajua
hospital-lost = { $n ->
    [one] Ujumbe { $n } wa kipimo hiki umeachwa; tazama ukurasa wa Mfumo.
   *[other] Jumbe { $n } za kipimo hiki zimeachwa; tazama ukurasa wa Mfumo.
}
hospital-received = Hakuna aliyeitazama huko bado
hospital-accepted = Imekubaliwa
hospital-declined = Imekataliwa
hospital-completed = Imekamilika
hospital-note = Maelezo
hospital-actions = Tafadhali fanya
decisions-title = Maamuzi
decisions-undo = Tengua
decision-agree = alikubali { $finding }
decision-disagree = alikataa { $finding }
decision-acuity = aliweka kiwango cha dharura { $acuity }
decision-done = aliweka kuwa imekamilika
decision-reopened = alifungua tena
decision-undone = imetenguliwa { $ago } na { $name }
context-title = Maelezo ya kliniki
context-typed = yameandikwa hapa
context-none = hayakutumwa
context-sent = yametumwa na mashine
context-label = Sababu ya kipimo; modeli inayoyasoma hupima upya
context-save = Hifadhi maelezo
context-from-scanner = Tumia tena ya mashine
context-read = Matokeo yanayoonyeshwa yamesoma maelezo ya kliniki.
context-unread = Matokeo yanayoonyeshwa hayakusoma maelezo ya kliniki.
series-title = Series
series-deleted = Picha zilifutwa ili kupata nafasi; matokeo yamehifadhiwa.
series-middle = Slaisi ya katikati
series-looked-at = Zilizoangaliwa
series-left-out = Zisizoangaliwa
series-arrived = Zilivyofika: series { $n }
series-images = picha { $n }
series-images-of = picha { $n } kati ya { $expected }
series-used = { $plane }, { $size }, vipande { $tokens } kati ya { $patches } vimetumika
plane-axial = axial
plane-coronal = coronal
plane-sagittal = sagittal
priors-title = Vipimo vingine vyenye namba hii ya mgonjwa
priors-read = kimesomwa
priors-read-deleted = kimesomwa; picha zake zilifutwa
priors-unread = bado hakijasomwa
priors-elsewhere = iko kwenye { $archive }
timeline-title = Kilichotokea
timeline-first = picha ya kwanza ilifika
timeline-last = picha ya mwisho ilifika, { $images } kwa jumla
timeline-complete = kamili
timeline-complete-again = kamili kwa mara ya { $n }
timeline-partial = picha zilizotangazwa hazipo
timeline-decided = { $what }, na { $name }
timeline-undone = imetenguliwa na { $name }: { $what }
timeline-deleted = picha zilifutwa ili kupata nafasi; matokeo yamehifadhiwa
delivery-report = ripoti
delivery-picture = picha
delivery-sent = { $kind } imetumwa kwa { $archive }
delivery-segmentation = segmentation
delivery-committed = { $kind } imetumwa kwa { $archive }, ambayo imeahidi kuihifadhi
delivery-refused = { $kind } haikupokelewa na { $archive }: { $why }
results-title = Majibu
results-none = Hakuna modeli iliyoangalia kipimo hiki bado.
results-shown = Yameonyeshwa juu.
results-device = kwenye { $device }
results-json = Kipimo hiki kama JSON
results-line = Ukamilifu { $n }: { $text }
result-analysed = imechambuliwa
result-not-analysed = haikuchambuliwa
result-hidden = imeangaliwa
result-hidden-why = ambayo imezimwa: matokeo yake hayaonyeshwi
result-by = na { $model }
result-by-digest = na modeli { $digest }
result-on = kwenye { $device } kwa sek { $seconds }
result-context = pamoja na maelezo ya kliniki
result-partial = kwa kipimo pungufu

## Slaisi

slices-back = Rudi kwa { $patient }
slices-picture = Picha; vitufe vya mishale hupitisha slaisi
slices-unoriented = Mwelekeo haujulikani: faili haisemi slaisi imelalaje, hivyo hakuna herufi.
slices-ways = Slaisi
slices-number = Slaisi
slices-show = Onyesha
slices-overlay-show = Onyesha alama ya { $finding } inatoka wapi
slices-overlay-hide = Ficha alama ya { $finding } inatoka wapi
slices-overlay = Sehemu zenye rangi zinapandisha alama, nyekundu zaidi.
slices-keys = Gurudumu, vitufe vya mishale, J na K hupitisha slaisi; Home na End huenda mwanzo na mwisho; kuburuta kwa kipanya hubadili mwangaza (juu, chini) na kontrasti (kushoto, kulia); kidole hupitisha slaisi.
slices-place = slaisi { $number } kati ya { $count }
slices-none = Hakuna picha katika series hii.
slices-unreadable = { $files } za series hii haziwezi kuonyeshwa; ya kwanza: { $first }.
slices-failed = Slaisi hii haiwezi kuonyeshwa.
slices-loading = Slaisi inapakiwa…
slices-no-answer = Kifaa hakijibu; endelea kupitisha ili kujaribu tena.
volume-link = Katika vipimo vitatu
volume-back = Rudi kwenye slaisi
volume-needs = Mwonekano huu huchorwa na JavaScript na WebGL 2. Slaisi hazihitaji chochote kati ya hivyo.
volume-scene = Series katika bapa tatu na kama umbo
volume-hands = Kanuni ya radiolojia: kulia kwa mgonjwa kuko kushoto. Kubofya husogeza msalaba, gurudumu husogeza slaisi, kuburuta huzungusha umbo.
volume-loading = Inapakia series…
volume-no-webgl = Kivinjari hiki hakina WebGL 2, kwa hiyo series haiwezi kuchorwa; tazama slaisi zake.
volume-failed = Series haiwezi kuchorwa; tazama slaisi zake.
volume-no-answer = Kifaa hakijibu; pakia ukurasa tena ili kujaribu tena.
volume-choices = Majalada ya series hii
way-first = Ya kwanza
way-previous = Iliyotangulia
way-next = Inayofuata
way-last = Ya mwisho
window-title = Mwangaza na kontrasti
window-now = Kitovu na upana wa window sasa:
window-note = Thamani za kijivu za MR hazina kipimo, hivyo hakuna window moja inayofaa tishu. “Ilivyohifadhiwa” ni window iliyochaguliwa na mashine, au, kama haikuchagua, moja kwa series nzima; “ya slaisi hii” hufanya sehemu moja ya mia iliyo giza zaidi iwe nyeusi na iliyo angavu zaidi iwe nyeupe; nyingine huendelea na kinachoonyeshwa.
window-stored = ilivyohifadhiwa
window-slice = ya slaisi hii
window-brighter = angavu zaidi
window-darker = giza zaidi
window-more-contrast = kontrasti zaidi
window-less-contrast = kontrasti kidogo
place-right = mm { $mm } kulia
place-left = mm { $mm } kushoto
place-anterior = mm { $mm } mbele
place-posterior = mm { $mm } nyuma
place-inferior = mm { $mm } chini
place-superior = mm { $mm } juu

## Mfumo

system-title = Mfumo
system-checks = Ukaguzi
system-version = Toleo
system-running = Kinafanya kazi kwa
system-time = Saa ya kifaa
system-good = Kila kitu kinafanya kazi.
system-notices = { $n ->
    [one] Kila kitu kinafanya kazi, kuna taarifa { $n }.
   *[other] Kila kitu kinafanya kazi, kuna taarifa { $n }.
}
system-problems = { $n ->
    [one] Tatizo { $n } la kushughulikia.
   *[other] Matatizo { $n } ya kushughulikia.
}
system-stale = kifaa hakijajikagua kwa { $span }; yaliyo hapa chini ni ya zamani. Kiwashe upya
verdict-good = SAWA
verdict-notice = TAARIFA
verdict-problem = TATIZO
system-receiving = Mapokezi
system-senders = Waliotuma picha karibuni
system-no-senders = Hakuna aliyetuma picha.
system-connected = Waliounganishwa sasa
system-no-connected = Hakuna aliyeunganishwa.
system-peer = { $name } kwenye { $address }
system-studies = Vipimo
system-arriving = Vinavyofika
system-waiting = Vinavyosubiri uchambuzi
system-analysing = Vinavyochambuliwa
system-models = Modeli
system-no-models = Hakuna modeli iliyowekwa.
model-use = Matumizi
model-mode-off = haitumiki
model-mode-shadow = kimyakimya
model-mode-assist = inasaidia
model-killed = imezimwa
model-killed-since = tangu { $when }
model-self-test = Jaribio la ndani
model-installed = Iliwekwa
model-weights = Uzito wa modeli
model-allow = Ruhusu modeli hii tena
model-kill = Zima modeli hii sasa
model-untested = haijajaribiwa bado
model-passed = imefaulu: tofauti kubwa zaidi { $worst }, inayokubalika { $tolerance }
model-passed-bare = imefaulu; modeli haina thamani za kulinganisha
model-failed = IMESHINDWA: haikokotoi inavyopaswa
model-unreadable = haisomeki
system-quarantine = Zilizotengwa
system-no-quarantine = Hakuna picha iliyotengwa.
system-commitments = Ahadi za kuhifadhi (storage commitment)
system-no-commitments = Hakuna mashine iliyoomba.
hospital-unsent = Hayajafika hospitali ya rufaa
hospital-row-study = { $kind } ya kipimo { $study }
hospital-flag = rufaa
hospital-objects = matokeo
hospital-series = picha
hospital-other = ripoti isiyo na mgonjwa
hospital-again-which = ujumbe { $row }
archives-title = Matokeo kwa mifumo mingine
archives-none = Hakuna hifadhi wala mpokeaji wa HL7 aliyewekwa; matokeo yanabaki kwenye kifaa hiki.
archives-counts = { $sent } yametumwa, { $waiting } yanasubiri
archives-oldest = (la zamani zaidi { $ago })
archives-refused = Hayakupokelewa
archives-study = Kipimo { $study }
archives-for = kwa { $archive }
archives-again = Tuma tena
archives-again-which = majibu ya kipimo { $study } kwa { $archive }
hub-title = Hospitali ya rufaa
hub-address = Seva ya hospitali
hub-site = ambako kifaa hiki kinaitwa { $site }
hub-link = Kiungo
hub-starting = bado hakijajaribiwa
hub-working = kinatuma
hub-idle = yote yametumwa
hub-waiting = hakuna jibu; kinajaribu tena chenyewe
hub-barred = mtu lazima achukue hatua
hub-contact = Jibu la mwisho
hub-never = kamwe
hub-clock-behind = saa ya kifaa hiki iko nyuma kwa { $span }
hub-clock-ahead = saa ya kifaa hiki iko mbele kwa { $span }
hub-carries = Kasi
hub-speed = karibu { $kbit } kbit/s
hub-images-wait = mifululizo ya picha inasubiri saa zake
hub-sticks = hakuna: yanayosubiri yanabebwa kwa USB
hub-outbox = Yanayosubiri kutumwa
hub-counts = rufaa { $flags }, matokeo { $results }, mifululizo ya picha { $series }, mengine { $other }
hub-oldest = (rufaa ya zamani zaidi { $ago })
system-events = Matukio ya karibuni
system-no-events = Hakuna kilichotokea.
settings-title = Mipangilio inayotumika
settings-how = Hubadilishwa kwenye faili ya mipangilio na huanza kutumika kifaa kikiwashwa tena; `appliance check-config` hukagua faili kabla.
system-json = Ukurasa huu kama JSON

## Ubora

quality-title = Ubora
quality-intro = Mashine, alama na wasomaji hulinganishwa na yale yaliyokuwa ya kawaida hapa. Tahadhari ni sababu ya kuangalia, si uthibitisho wa hitilafu.
quality-alarms = Tahadhari
quality-no-alarms = Hakuna tahadhari iliyo wazi.
quality-since = Tangu { $when } { $what } ({ $why }).
quality-since-bare = Tangu { $when } { $what }.
quality-brighter = picha za { $scanner } zina mwangaza { $part } zaidi kuliko zamani
quality-darker = picha za { $scanner } zina giza { $part } zaidi kuliko zamani
quality-contrast-more = picha za { $scanner } zina kontrasti { $part } zaidi kuliko zamani
quality-contrast-less = picha za { $scanner } zina kontrasti { $part } pungufu kuliko zamani
quality-noise-more = picha za { $scanner } zina chengachenga { $part } zaidi kuliko zamani
quality-noise-less = picha za { $scanner } zina chengachenga { $part } pungufu kuliko zamani
quality-head-more = kichwa kinajaza picha za { $scanner } { $part } zaidi kuliko zamani
quality-head-less = kichwa kinajaza picha za { $scanner } { $part } pungufu kuliko zamani
quality-slices-more = series za { $scanner } zina slaisi { $part } zaidi kuliko zamani
quality-slices-less = series za { $scanner } zina slaisi { $part } pungufu kuliko zamani
quality-distance-more = slaisi za { $scanner } ziko mbali { $part } zaidi kuliko zamani
quality-distance-less = slaisi za { $scanner } ziko karibu { $part } zaidi kuliko zamani
quality-tokens-more = modeli inasoma { $part } zaidi ya kila series ya { $scanner } kuliko zamani
quality-tokens-less = modeli inasoma { $part } pungufu ya kila series ya { $scanner } kuliko zamani
quality-series = vipimo vya { $scanner } vina wastani wa series { $now } zinazotumika badala ya { $before }
quality-left-out = wastani wa series au faili { $now } za kila kipimo cha { $scanner } hazitumiki badala ya { $before }
quality-priority-more = modeli inaona vipimo vya { $scanner } kuwa vya dharura zaidi kuliko zamani
quality-priority-less = modeli inaona vipimo vya { $scanner } kuwa vya dharura pungufu kuliko zamani
quality-age-more = wagonjwa wa { $scanner } wanaonekana kwa modeli wazee zaidi kuliko zamani
quality-age-less = wagonjwa wa { $scanner } wanaonekana kwa modeli vijana zaidi kuliko zamani
quality-score-more = vipimo vya { $scanner } vina alama za juu zaidi za { $finding } kuliko zamani: wastani { $now } badala ya { $before }
quality-score-less = vipimo vya { $scanner } vina alama za chini zaidi za { $finding } kuliko zamani: wastani { $now } badala ya { $before }
quality-no-result = { $now } ya vipimo vya { $scanner } havipati matokeo badala ya { $before }
quality-override = wasomaji wanabadili { $now } ya matokeo ya { $scanner } badala ya { $before }
quality-psi = PSI { $psi }, zaidi ya { $limit }
quality-software = programu { $new } badala ya { $old }
quality-others = { $n ->
    [one] pia kipimo kingine { $n }
   *[other] pia vipimo vingine { $n }
}
quality-advise-input = Matokeo ya vipimo vyake yanaweza kuwa na makosa: mwombe mtaalamu wa radiolojia asome kumi vinavyofuata bila orodha, na uwaarifu wa msaada.
quality-advise-scores = Matokeo ya vipimo vyake yanaweza kuwa na makosa: mwombe mtaalamu wa radiolojia asome kumi vinavyofuata bila orodha, na umwarifu anayewajibika kwa modeli.
quality-advise-no-result = Soma vipimo hivi bila msaada wa modeli, angalia sababu kwenye orodha ya kazi, na uwaarifu wa msaada.
quality-advise-override = Waulize wasomaji wanabadili nini; ikiwa modeli inakosea, izime kwenye ukurasa wa mfumo.
quality-other-version = Mashine { $scanner }: toleo lingine la programu hii lilihifadhi tahadhari hii.
quality-opened = Ilifunguliwa
quality-seen = ilionekana mwisho
quality-found-out = Umegundua nini?
quality-acknowledge = Nimeona
quality-known = Imepokelewa { $ago } na { $name }
quality-closed-passed = Ilipita { $ago }.
quality-closed-normal = Hali hii ilitangazwa kuwa ya kawaida { $ago }.
quality-closed-model = Modeli nyingine ilichukua nafasi { $ago }.
quality-past = Tahadhari zilizopita
quality-scanners = Mashine
quality-no-scanners = Modeli inayotumika bado haijaangalia kipimo.
quality-looked = Ukaguzi wa mwisho:
quality-not-looked = Bado haijakaguliwa.
quality-learning = Inajifunza hali ya kawaida: vipimo { $have } kati ya { $need }.
quality-watched = Inafuatiliwa.
quality-chart-no-result = Vipimo visivyo na matokeo
quality-chart-override = Matokeo yaliyobadilishwa na wasomaji
quality-chart-rate = { $reference } katika rejea; hadi { $usual } huchukuliwa kuwa kawaida, { $noticed } lazima igunduliwe.
quality-chart-sum = Jumla { $sum }, tahadhari ikifika { $limit }.
quality-chart-promise = Tahadhari moja ya uongo kwa wastani wa vipimo { $studies }; badiliko halisi hugunduliwa baada ya wastani wa { $delay }.
quality-compared = Kinacholinganishwa
quality-quantity = Kipimo
quality-before = Zamani
quality-now = Sasa
quality-index = PSI
quality-chance = Bahati
quality-mark = Alama
quality-drifted = IMEHAMA
quality-how = Uwiano ni kwa series za aina ile ile za zamani, hivyo 1 ni bila badiliko. PSI huonyesha jinsi migawanyo miwili inavyotofautiana; bahati ni uwezekano wa tofauti kama hiyo bila badiliko, ukirekebishwa kwa idadi ya vipimo.
quality-quantity-brightness = mwangaza (uwiano)
quality-quantity-contrast = kontrasti (uwiano)
quality-quantity-noise = chengachenga (uwiano)
quality-quantity-head = ukubwa wa kichwa kwenye picha (uwiano)
quality-quantity-slices = slaisi za series (uwiano)
quality-quantity-distance = umbali wa slaisi (uwiano)
quality-quantity-tokens = kinachosomwa na modeli katika series (uwiano)
quality-quantity-series = series zinazotumika za kipimo
quality-quantity-left-out = series au faili zisizotumika
quality-quantity-priority = dharura
quality-quantity-age = umri kwa picha
quality-quantity-score = alama ya { $finding }
quality-normal = Tangaza hali mpya ya kawaida
quality-normal-how = Rejea inatengenezwa upya: kwa vipimo tangu tahadhari ilipoanza au, bila tahadhari, kwa vinavyofuata. Tahadhari za mashine hii zinafungwa. Hakuna kinacholinganishwa hadi vipimo vitoshe.
quality-normal-set = Hii ni kawaida sasa
quality-findings = Matokeo ni sahihi mara ngapi
quality-findings-how = Kwa uamuzi wa wasomaji wa hapa. Vikundi vyenye matokeo yaliyoamuliwa chini ya { $least } havionyeshwi.
quality-share = { $agreed } kati ya { $judged } ni sahihi: PPV { $ppv } (kipindi cha 95 % { $low } hadi { $high })
quality-age = miaka { $band }
quality-low = CHINI ZAIDI
quality-few = { $n ->
    [one] Tokeo { $n } zaidi liliamuliwa mara chache mno.
   *[other] Matokeo { $n } zaidi yaliamuliwa mara chache mno.
}

## Watumiaji na kuingia

users-title = Watumiaji
users-once = Inaonyeshwa mara hii tu na haihifadhiwi popote.
users-who = Wanaoweza kuingia
users-kept-out = AMEZUIWA
users-no-password = bado hajachagua nenosiri
users-role-of = Jukumu la { $name }
users-set-role = Weka jukumu
users-set-role-of = la { $name }
users-reset = Nenosiri jipya
users-reset-for = kwa { $name }
users-enable = Ruhusu tena
users-disable = Zuia
users-add-title = Ongeza mtumiaji
users-name = Jina
users-role = Jukumu
users-add = Ongeza
users-tech = huona vipimo, hutoa maelezo ya kliniki, hutuma majibu tena
users-reader = hayo, na huamua kuhusu vipimo
users-service = huona ukurasa wa mfumo na modeli, bila mgonjwa yeyote
users-admin = yote haya, na watumiaji
users-added = { $name } ameongezwa. Nenosiri la kuingia mara ya kwanza ni
users-was-reset = { $name } ametolewa kila mahali. Nenosiri la kuingia tena ni
users-role-now = { $name } sasa ni { $role }.
users-disabled = { $name } hawezi kuingia tena.
users-enabled = { $name } anaweza kuingia tena.
tokens-title = Tokeni za programu
tokens-none = Hakuna programu yenye tokeni.
tokens-rights = kwa haki za { $name }
tokens-used = ilitumika mwisho
tokens-revoke = Batilisha
tokens-revoke-which = tokeni ya { $program } kwa { $name }
tokens-program = Programu
tokens-rights-of = kwa haki za
tokens-add = Tengeneza tokeni
tokens-added = { $program } inafanya kazi kwa niaba ya { $name } kwa tokeni
tokens-revoked = Tokeni ya { $program } kwa { $name } imebatilishwa.
login-title = Ingia
login-name = Jina
login-password = Nenosiri
login-users = Msimamizi wa kifaa hiki hutengeneza watumiaji na nenosiri jipya.
login-lasts = Kuingia hudumu saa kumi, au saa moja bila ukurasa kufunguliwa.
login-refused = Jina hili na nenosiri hili havilingani.
setup-page = Mtumiaji wa kwanza
setup-title = Mtumiaji wa kwanza wa kifaa hiki
setup-text = Hakuna anayeweza kuingia bado. Utakayemwandika hapa atakuwa msimamizi na ataongeza wengine.
setup-code = Msimbo, ulioonyeshwa kifaa kilipowashwa
setup-name = Jina, kama litakavyoonekana kando ya maamuzi
setup-password = Nenosiri, angalau herufi { $n }; maneno machache mfululizo ni rahisi kukumbuka
setup-button = Tengeneza mtumiaji huyu
account-title = Akaunti yako
account-must-change = Chagua nenosiri lako mwenyewe: la sasa lilitengenezwa na kifaa na halifungui kitu kingine.
account-present = Nenosiri la sasa
account-new = Nenosiri jipya, angalau herufi { $n }; maneno machache mfululizo ni rahisi kukumbuka
account-again = Nenosiri jipya tena
account-change = Badili nenosiri
account-elsewhere = Kulibadili kunakutoa kila mahali pengine.

## Makosa

title-400 = Ombi si sahihi
title-401 = Ingia kwanza
title-403 = Hairuhusiwi
title-404 = Haipatikani
title-405 = Haitumiki hivi
title-409 = Mgongano
title-410 = Imefutwa
title-421 = Jina halijulikani
title-422 = Haisomeki
title-429 = Majaribio mengi mno
title-500 = Kosa la ndani
title-503 = Haipatikani kwa sasa
title-507 = Diski imejaa
error-home = Kwenye orodha ya kazi
error-internal = kitu kimeshindwa ndani ya kifaa, na hakuna kilichobadilishwa; jaribu tena, na ikiendelea hivyo, piga simu kwa msaada na ufungue ukurasa wa mfumo
error-disk-full = hakuna kilichohifadhiwa kwa sababu diski imejaa; tazama ukurasa wa mfumo
error-busy = kifaa kimechukua muda mrefu kujibu; jaribu tena
error-no-page = hakuna ukurasa { $page }
error-no-study = hakuna kipimo { $study }
error-no-picture = kipimo { $study } hakina picha hiyo
error-no-series = kipimo { $study } hakina series { $series }
error-no-slice = hakuna slaisi { $slice }; series ina { $count }, kuanzia 1
error-no-volume = hakuna jalada { $volume }; series ina { $count }, kuhesabu kutoka 1
error-volume-places = series hii si jalada: slaisi zake hazisemi zilipo, au zinatofautiana kwa ukubwa au mwelekeo
error-volume-one = series hii si jalada: ina slaisi moja tu
error-volume-uneven = series hii si jalada: slaisi moja iko mm { $off } kutoka mahali pake katika rundo la kawaida
error-volume-large = series hii ni kubwa mno kwa jalada: vokseli { $size }, zisizidi { $most }
error-volume-colour = series hii ina rangi, na majalada hutengenezwa kwa thamani za kijivu
error-series-changed = series imebadilika tangu ukurasa upakiwe; upakie tena
error-evicted = picha za kipimo { $study } zilifutwa ili kupata nafasi; majibu yake yamehifadhiwa
error-slice = slaisi hii haiwezi kuonyeshwa: { $why }
error-no-delivery = hakuna utumaji { $delivery } ulioachwa; huenda umetumwa tena tayari
error-no-result = kipimo { $study } hakina jibu { $result } linaloweza kuonyeshwa
error-method = anwani hii haiwezi kutumiwa hivi
error-host = kifaa hiki hakijulikani kama { $host }; kifungue kwa anwani yake ya IP, au ongeza jina kwenye `web.host_names` katika usanidi wake
error-origin = hii haikutumwa kutoka ukurasa wa kifaa hiki; fungua ukurasa tena, au, kutoka programu, tuma header `Authorization: Bearer TOKEN`
error-log-in = ingia kwanza; programu hutuma header `Authorization: Bearer TOKEN` yenye tokeni inayotengenezwa na ukurasa wa watumiaji au `appliance user token`
error-new-password = chagua kwanza nenosiri lako mwenyewe, kwenye ukurasa /account
error-role = jukumu lako hapa ni { $role }, ambalo haliruhusu { $right }; muulize msimamizi wa kifaa hiki
right-operate = kutunza kifaa
right-patients = kuona wagonjwa
right-decide = kuamua kuhusu vipimo
right-models = kuchagua modeli
right-reference = kutangaza hali mpya ya kawaida
right-users = kubadili watumiaji
right-settings = kuhifadhi mipangilio mipya
error-wait = majaribio mengi mno yasiyo sahihi; subiri sekunde { $n } na ujaribu tena
error-setup-code = huu si msimbo wa kifaa hiki; ulionyeshwa pale `appliance serve` ilipoanzishwa, na kila kuanza bila watumiaji hutengeneza mpya
error-password-short = nenosiri lina herufi { $n }; angalau { $least } zinahitajika, na maneno machache mfululizo ni rahisi kukumbuka
error-password-long = nenosiri lina herufi { $n }; zisizidi { $most }
error-password-name = nenosiri ni jina; chagua lingine
error-password-other = nenosiri la sasa ni lingine
error-password-twice = nenosiri jipya limeandikwa kwa namna mbili
error-password-same = nenosiri jipya ni lile la sasa
error-user-name = { $name } haiwezi kuwa jina; toa herufi 1 hadi { $most } bila `:` na herufi za udhibiti
error-user-exists = kuna mtumiaji { $name } tayari
error-no-user = hakuna mtumiaji { $name }
error-last-admin = { $name } ndiye msimamizi pekee; weka mwingine kwanza
error-not-first = kifaa hiki kina watumiaji tayari; mwombe msimamizi wake akuongeze
error-token-exists = { $name } ana tokeni ya { $program } tayari; ibatilishe kwanza
error-no-token = { $name } hana tokeni ya { $program }
error-no-role = hakuna jukumu { $role }; yaliyopo ni { $known }
error-no-action = hakuna kitendo { $action }
error-no-queue = hakuna foleni { $queue }; zilizopo ni { $known }
error-no-language = hakuna lugha { $language }; zilizopo ni { $known }
error-number = namba katika anwani si namba
error-too-long = maandishi ni marefu mno; yasizidi 64 KiB
error-context-long = maelezo yana herufi { $n }; zisizidi { $most }
error-choose-acuity = chagua kiwango cha dharura
error-no-decision-kind = hakuna uamuzi { $kind }
error-no-decision = hakuna uamuzi { $decision }
error-already-undone = uamuzi { $decision } umetenguliwa tayari
error-no-finding = matokeo yanayoonyeshwa ya kipimo { $study } hayana { $finding }; pakia ukurasa tena
error-no-reason = toa sababu kwa neno moja au machache
error-reason-long = sababu ina herufi { $n }; zisizidi { $most }
error-no-such-model = hakuna modeli iliyowekwa inayoitwa { $name } au yenye digest inayoanza hivyo; tazama `appliance model list`
error-ambiguous-model = { $name } inalingana na modeli { $count } zilizowekwa; toa tarakimu zaidi za digest
error-killed = modeli { $name } imezimwa; iruhusu kwanza kwa `appliance model revive`
error-no-earlier = hakuna modeli ya awali ya kurudia
error-no-trial = hakuna mipangilio mipya inayosubiri kuhifadhiwa
error-trial-late = umechelewa: { $why }; mipangilio ya awali inatumika
error-no-alarm = hakuna tahadhari iliyo wazi { $alarm }
error-no-scanner = hakuna mashine { $scanner } ambayo vipimo vyake vinafuatiliwa

## Utambuzi wa magonjwa, kwa lebo ya modeli. Neno la Kiingereza limebaki pale ambapo hospitali hulitumia.

diagnosis-cyst_arachnoid_cyst = arachnoid cyst
diagnosis-cyst_colloid_cyst = colloid cyst
diagnosis-developmental_dandy_walker_malformation = kasoro ya Dandy-Walker
diagnosis-developmental_dysgenesis_corpus_callosum = dysgenesis ya corpus callosum
diagnosis-developmental_heterotopia = heterotopia
diagnosis-infectious_brain_abscess = jipu la ubongo
diagnosis-infectious_viral_encephalitis = encephalitis ya virusi
diagnosis-inflammatory_multiple_sclerosis = multiple sclerosis
diagnosis-inflammatory_neurosarcoid = neurosarcoid
diagnosis-sellar_craniopharyngioma = craniopharyngioma
diagnosis-sellar_pituitary_adenoma = pituitary adenoma
diagnosis-sellar_rathkes_cleft_cyst = Rathke's cleft cyst
diagnosis-spine_syrinx = syrinx
diagnosis-structural_brain_herniation = brain herniation
diagnosis-structural_cephaloceles = cephaloceles
diagnosis-structural_cerebral_atrophy = kusinyaa kwa ubongo
diagnosis-structural_chiari_malformation = kasoro ya Chiari
diagnosis-structural_edema = uvimbe wa maji (edema)
diagnosis-structural_encephalomalacia = encephalomalacia
diagnosis-structural_mass_effect = mass effect
diagnosis-structural_midline_shift = midline shift
diagnosis-surgical_catheter = katheta
diagnosis-surgical_craniotomy = craniotomy
diagnosis-surgical_resection_cavity = resection cavity
diagnosis-trauma_brain_contusion = mchubuko wa ubongo
diagnosis-trauma_diffuse_axonal_injury = diffuse axonal injury
diagnosis-trauma_subdural_hematoma = subdural hematoma
diagnosis-tumor_adult_brain_metastasis = saratani iliyosambaa ubongoni
diagnosis-tumor_adult_glioma = glioma
diagnosis-tumor_adult_high_grade_glioma = glioma ya daraja la juu
diagnosis-tumor_adult_low_grade_glioma = glioma ya daraja la chini
diagnosis-tumor_adult_lymphoma = lymphoma
diagnosis-tumor_adult_meningioma = meningioma
diagnosis-tumor_adult_pineal_tumor = uvimbe wa pineal
diagnosis-tumor_adult_schwannoma = schwannoma
diagnosis-tumor_pediatric_brainstem_glioma = brainstem glioma (mtoto)
diagnosis-tumor_pediatric_ependymoma = ependymoma (mtoto)
diagnosis-tumor_pediatric_germ_cell_tumor = germ cell tumor (mtoto)
diagnosis-tumor_pediatric_medulloblastoma = medulloblastoma (mtoto)
diagnosis-tumor_pediatric_pilocytic_astrocytoma = pilocytic astrocytoma (mtoto)
diagnosis-vascular_hemorrhagic_intracranial_hemorrhage = damu kuvuja ndani ya fuvu
diagnosis-vascular_hemorrhagic_intraventricular_hemorrhage = damu kuvuja ndani ya ventricle
diagnosis-vascular_hemorrhagic_subarachnoid_hemorrahage = subarachnoid hemorrhage
diagnosis-vascular_ischemic_lacunar_stroke = kiharusi cha lacunar
diagnosis-vascular_ischemic_large_vessel_stroke = kiharusi cha mshipa mkubwa
diagnosis-vascular_ischemic_moyamoya = moyamoya
diagnosis-vascular_ischemic_small_vessel_disease = ugonjwa wa mishipa midogo
diagnosis-vascular_malformation_arteriovenous_malformation = arteriovenous malformation (AVM)
diagnosis-vascular_malformation_cavernoma = cavernoma
diagnosis-vascular_malformation_cerebral_aneurysm = aneurysm ya ubongo
diagnosis-ventricular_intracranial_hypotension = shinikizo la chini ndani ya fuvu
diagnosis-ventricular_ventriculomegaly = ventriculomegaly
