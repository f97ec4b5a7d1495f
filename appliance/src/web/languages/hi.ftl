### हिन्दी में पृष्ठ। अंग्रेज़ी (en.ftl) मानक है।

## हर पृष्ठ के चारों ओर

frame-title = मस्तिष्क MRI ट्राइएज
frame-skip = सामग्री पर जाएँ
frame-pages = पृष्ठ
frame-worklist = कार्य सूची
frame-system = सिस्टम
frame-problems = { $n ->
    [one] { $n } समस्या
   *[other] { $n } समस्याएँ
}
frame-users = उपयोगकर्ता
frame-you = आप: { $name }
frame-log-out = लॉग आउट
frame-untrained-mark = मॉडल प्रशिक्षित नहीं है।
frame-untrained = निष्कर्ष, गंभीरता और क्रम का कोई अर्थ नहीं: { $statement }।
frame-simulated-mark = कृत्रिम डेटा का मॉडल।
frame-simulated = मरीज़ों पर कभी परखा नहीं गया; निष्कर्ष, गंभीरता या क्रम पर भरोसा न करें: { $statement }।
frame-trial-mark = नई नेटवर्क सेटिंग परखी जा रही हैं।
frame-trial = यदि कोई प्रशासक नई सेटिंग नहीं रखता, तो { $span } में पिछली सेटिंग लौट आएँगी।
frame-trial-keep = इन्हें रखें
frame-model = मॉडल { $name }
frame-no-model = कोई मॉडल उपयोग में नहीं है: जाँचें आने के क्रम में हैं। केवल शोध के लिए; चिकित्सा उपकरण नहीं।
frame-version = संस्करण { $version }
language-label = भाषा
language-set = चुनें
language-unreviewed = इस अनुवाद को अभी किसी मातृभाषी ने नहीं जाँचा है; संदेह होने पर अंग्रेज़ी पाठ मान्य है।

## गिनती, समय और मरीज़

count-images = { $n ->
    [one] { $n } इमेज
   *[other] { $n } इमेज
}
count-images-of = { $expected ->
    [one] { $expected } इमेज
   *[other] { $expected } इमेज
} में से { $n }
count-files = { $n ->
    [one] { $n } फ़ाइल
   *[other] { $n } फ़ाइलें
}
count-attempts = { $n ->
    [one] { $n } प्रयास
   *[other] { $n } प्रयास
}
time-just-now = अभी
time-ago = { $span } पहले
time-unknown = अज्ञात समय पर
span-seconds = { $n } सेकंड
span-minutes = { $n } मिनट
span-hours = { $n } घंटे
span-days = { $n } दिन
age-years = { $n ->
    [one] { $n } वर्ष
   *[other] { $n } वर्ष
}
age-months = { $n ->
    [one] { $n } माह
   *[other] { $n } माह
}
age-weeks = { $n ->
    [one] { $n } सप्ताह
   *[other] { $n } सप्ताह
}
age-days = { $n ->
    [one] { $n } दिन
   *[other] { $n } दिन
}
age-sex-unknown = आयु और लिंग अज्ञात
sex-other = अन्य लिंग
patient-no-name = (नाम नहीं)

## गंभीरता, तात्कालिकता, स्थिति और चिह्न

acuity-label = गंभीरता
acuity-high = उच्च
acuity-medium = मध्यम
acuity-low = कम
acuity-none = कोई नहीं
acuity-unknown = अज्ञात
acuity-not-yet = अभी नहीं
urgency-routine = सामान्य
urgency-soon = शीघ्र
urgency-urgent = अर्जेंट
urgency-emergency = इमरजेंसी
state-late = देर से इमेज आ रही हैं: अब तक { $images }
state-receiving = आ रहा है: अब तक { $images }
state-waiting = पूरी, विश्लेषण की प्रतीक्षा ({ $images })
state-analysing = विश्लेषण जारी ({ $images })
state-not-analysed = विश्लेषण नहीं हुआ ({ $images })
state-complete = पूरी ({ $images })
state-analysed = विश्लेषण हो गया ({ $images })
mark-overdue = समय बीता
mark-overdue-why = { $span } अधिक प्रतीक्षा
mark-partial = अधूरी
mark-partial-why = स्कैनर की बताई कुछ इमेज नहीं आईं
mark-late = देर से इमेज
mark-late-why = जाँच पूरी होने के बाद इमेज आईं
mark-set = रीडर ने तय की
mark-set-why = रीडर ने { $acuity } तय की
mark-hospital-dead = अस्पताल नहीं पहुँचा
mark-hospital-dead-why = रेफ़रल अस्पताल तक नहीं पहुँचा: { $why }
mark-hospital-waits = अभी नहीं भेजा गया
mark-hospital-waits-why = रेफ़रल { $span } से अस्पताल पहुँचने की प्रतीक्षा में है
mark-accepted = स्वीकृत
mark-declined = अस्वीकृत
mark-completed = उत्तर मिला
mark-answer-why = { $name } द्वारा, { $ago }

## कार्य सूची

queue-all-open = सभी खुली
queue-all = सभी
queue-urgent = अर्जेंट
queue-review = समीक्षा
queue-not-analysed = विश्लेषण नहीं
queue-done = पूर्ण
queue-empty = कोई जाँच प्रतीक्षा में नहीं: सब पूर्ण हैं।
queue-empty-urgent = कोई अर्जेंट जाँच प्रतीक्षा में नहीं है।
queue-empty-review = समीक्षा के लिए कोई जाँच प्रतीक्षा में नहीं है।
queue-empty-not-analysed = हर पूरी जाँच का विश्लेषण हो चुका है।
queue-empty-done = अभी कोई जाँच पूर्ण नहीं है।
worklist-title = कार्य सूची
worklist-arrivals = नई आई जाँचें
worklist-queues = कतारें
worklist-search = खोजें
worklist-search-label = मरीज़ का नाम, ID या एक्सेशन नंबर
worklist-live = सूची पर वापस
worklist-empty-title = अभी कुछ नहीं आया
worklist-empty = स्कैनर में इसे नए नेटवर्क नोड (DICOM destination या archive) के रूप में लिखें:
worklist-empty-next = फिर एक जाँच भेजें। पहली इमेज आते ही वह यहाँ दिखेगी।
worklist-no-fit = कोई जाँच नहीं मिली
worklist-no-fit-words = हर शब्द मरीज़ के नाम, ID या एक्सेशन नंबर में होना चाहिए।
worklist-no-fit-letters = नाम के कुछ अक्षर काफ़ी हैं।
worklist-no-id = मरीज़ ID नहीं
worklist-more = और { $n } अन्य
worklist-done = पूर्ण
worklist-pages = और जाँचें
worklist-paging = { $total } में से { $from } से { $to }
worklist-back = सूची में ऊपर
worklist-next = सूची में नीचे
worklist-as-of = { $now } की स्थिति।
worklist-reloads = यह पृष्ठ हर { $seconds } सेकंड में स्वयं ताज़ा होता है।
worklist-reloads-not = खोज के समय यह पृष्ठ स्वयं ताज़ा नहीं होता।
worklist-order = सबसे गंभीर पहले; बहुत देर से रुकी जाँच सबसे आगे आती है।
live-yes = लाइव: नई चीज़ें यहाँ अपने आप दिखती हैं।
live-polls = लाइव नहीं: सूची हर { $seconds } सेकंड में दोबारा ली जाती है।
live-silent = लाइव नहीं: बॉक्स जवाब नहीं दे रहा, यह सूची पुरानी है।
live-new = { $n } नई या बदली: दिखाएँ
live-study = इस जाँच में कुछ नया है: दिखाएँ
worklist-keys = J और K से सूची में नीचे और ऊपर जाएँ, Enter से जाँच खोलें, Escape से सूची छोड़ें। पॉइंटर या कीबोर्ड के नीचे पंक्तियाँ नहीं हिलतीं।
receive-ae-title = AE title
receive-address = पता
receive-or = या
receive-port = पोर्ट
receive-tls-port = TLS पोर्ट

## जाँच

study-no-description = (विवरण नहीं)
study-not-analysed = विश्लेषण नहीं हुआ:
study-queue = कतार: { $queue }
study-unaided = इस जाँच को मॉडल की मदद के बिना पढ़ें।
study-untrained-mark = यह परिणाम अप्रशिक्षित मॉडल का है:
study-untrained = संख्याएँ यादृच्छिक हैं और उनका कोई अर्थ नहीं।
study-simulated-mark = यह परिणाम कृत्रिम डेटा के मॉडल का है:
study-simulated = इसे मरीज़ों पर कभी परखा नहीं गया; इस पर भरोसा न करें।
study-arrived = आई
fact-patient-id = मरीज़ ID
fact-born = जन्म
fact-accession = एक्सेशन नंबर
fact-study-date = जाँच की तारीख
fact-body-part = शरीर का भाग
fact-scanner = स्कैनर
fact-institution = संस्था
fact-referrer = रेफ़र करने वाले
fact-study-uid = Study UID
decide-title = निर्णय
decide-reopen = फिर खोलें
decide-done = पूर्ण करें
decide-acuity = गंभीरता बदलें
decide-why = क्यों? (आवश्यक)
decide-new-acuity = नई गंभीरता
explanation-title = { $finding } का स्कोर कहाँ से आता है
explanation-failed = कोई चित्र नहीं है: { $why }।
explanation-alt = { $series } की स्लाइस { $n }; रंगी हुई जगहें { $finding } का स्कोर बढ़ाती हैं, सबसे अधिक बढ़ाने वाली से क्रमांकित
explanation-text = { $series } की रंगी हुई जगहें स्कोर बढ़ाती हैं; 1 सबसे अधिक।
explanation-how = LIME, { $samples } नमूने, R² { $fit }
explanation-other-version = इसे इस प्रोग्राम के किसी अन्य संस्करण ने सहेजा था
explanation-deleted = जगह बनाने के लिए इमेज के साथ हटाया गया
preview-warning = AI पूर्वावलोकन, निदान के लिए नहीं: बिना रंग की जगह में भी रोग हो सकता है।
findings-title = मॉडल के निष्कर्ष
findings-acuity = मॉडल की गंभीरता का आधार: { $reasons }।
findings-no-finding = कोई निष्कर्ष अपनी सीमा तक नहीं पहुँचा
findings-none = कोई निष्कर्ष अपनी सीमा तक नहीं पहुँचा। इसका अर्थ यह नहीं कि जाँच सामान्य है।
findings-no-result = दिखाने के लिए कोई परिणाम नहीं है।
findings-withheld = यहाँ रिपोर्ट नहीं किया जाता: { $finding }। { $reason }
findings-all = सभी { $n } स्कोर
findings-scores = स्कोर संभावना नहीं है। जो अपनी सीमा तक पहुँचे वह निष्कर्ष है।
finding-probability = संभावना { $share }
finding-score = स्कोर { $score }, सीमा { $threshold }, अंतर { $margin }
finding-margin = सीमा से { $margin } ऊपर
finding-agree = सहमत
finding-disagree = असहमत
finding-with = ({ $finding })
finding-reason = कारण
finding-other-reason = अन्य कारण
finding-not-judged = यहाँ अभी परखा नहीं गया
finding-right = यहाँ { $judged } में से { $agreed } बार सही: PPV { $ppv } (95 % अंतराल { $low } से { $high })
finding-overridden = समीक्षित { $reviewed } में से { $share } में बदला गया
reason-not-there = नहीं है
reason-known = पहले से ज्ञात
reason-artefact = आर्टिफ़ैक्ट या हलचल
reason-variant = सामान्य भिन्नता
reason-explained = अन्य व्याख्या
referrals-title = सुझाए गए रेफ़रल
referrals-rules = नियम { $version } ({ $digest }), { $approved }।
referrals-approved = { $name } द्वारा स्वीकृत
referrals-not-approved = यहाँ किसी ने स्वीकृत नहीं किए
hospital-title = रेफ़रल अस्पताल
hospital-waiting = रेफ़रल भेजे जाने की प्रतीक्षा में है
hospital-there = रेफ़रल अस्पताल के पास है
hospital-dead = रेफ़रल वहाँ नहीं पहुँचा: { $why }
hospital-withdrawn-waiting = रेफ़रल वापस लिया गया, अस्पताल को अभी पता नहीं
hospital-withdrawn-there = रेफ़रल वापस लिया गया, अस्पताल को पता है
hospital-lost = { $n ->
    [one] इस जाँच का { $n } संदेश छोड़ दिया गया; सिस्टम पृष्ठ देखें।
   *[other] इस जाँच के { $n } संदेश छोड़ दिए गए; सिस्टम पृष्ठ देखें।
}
hospital-received = वहाँ किसी ने अभी इसे नहीं देखा
hospital-accepted = स्वीकार किया गया
hospital-declined = अस्वीकार किया गया
hospital-completed = पूरा हुआ
hospital-note = टिप्पणी
hospital-actions = कृपया करें
decisions-title = निर्णय
decisions-undo = वापस लें
decision-agree = सहमत: { $finding }
decision-disagree = असहमत: { $finding }
decision-acuity = गंभीरता तय की: { $acuity }
decision-done = पूर्ण किया
decision-reopened = फिर खोला
decision-undone = { $ago } { $name } ने वापस लिया
context-title = क्लिनिकल जानकारी
context-typed = यहाँ लिखी गई
context-none = नहीं भेजी गई
context-sent = स्कैनर ने भेजी
context-label = जाँच का कारण; इसे पढ़ने वाला मॉडल फिर स्कोर देता है
context-save = जानकारी सहेजें
context-from-scanner = फिर स्कैनर की जानकारी लें
context-read = दिखाए गए परिणाम में क्लिनिकल जानकारी पढ़ी गई है।
context-unread = दिखाए गए परिणाम में क्लिनिकल जानकारी नहीं पढ़ी गई है।
series-title = सीरीज़
series-deleted = जगह बनाने के लिए इमेज हटाई गईं; परिणाम सुरक्षित हैं।
series-middle = बीच की स्लाइस
series-looked-at = देखी गईं
series-left-out = नहीं देखी गईं
series-arrived = जैसी आईं: { $n } सीरीज़
series-images = { $n } इमेज
series-images-of = { $expected } में से { $n } इमेज
series-used = { $plane }, { $size }, { $patches } में से { $tokens } पैच लिए गए
plane-axial = एक्सियल
plane-coronal = कोरोनल
plane-sagittal = सैजिटल
priors-title = इसी मरीज़ ID की अन्य जाँचें
priors-read = पढ़ी गई
priors-read-deleted = पढ़ी गई; इमेज हटाई गईं
priors-unread = अभी नहीं पढ़ी गई
priors-elsewhere = { $archive } में
timeline-title = क्या हुआ
timeline-first = पहली इमेज आई
timeline-last = नवीनतम इमेज आई, कुल { $images }
timeline-complete = पूरी
timeline-complete-again = पूरी ({ $n }वीं बार)
timeline-partial = बताई गई कुछ इमेज नहीं आईं
timeline-decided = { $what } ({ $name })
timeline-undone = { $name } ने वापस लिया: { $what }
timeline-deleted = जगह बनाने के लिए इमेज हटाई गईं; परिणाम सुरक्षित हैं
delivery-report = रिपोर्ट
delivery-picture = चित्र
delivery-sent = { $kind } { $archive } को भेजी गई
delivery-segmentation = सेगमेंटेशन
delivery-committed = { $kind } { $archive } को भेजी गई, जिसने इसे सुरक्षित रखने की पुष्टि की है
delivery-refused = { $kind } { $archive } ने नहीं ली: { $why }
results-title = परिणाम
results-none = किसी मॉडल ने अभी यह जाँच नहीं देखी।
results-shown = ऊपर दिखाया गया।
results-device = { $device } पर
results-json = यह जाँच JSON में
results-line = पूर्णता { $n }: { $text }
result-analysed = विश्लेषण
result-not-analysed = विश्लेषण नहीं हुआ
result-hidden = देखा गया
result-hidden-why = जो बंद है: उसका परिणाम नहीं दिखाया जाता
result-by = { $model } द्वारा
result-by-digest = मॉडल { $digest } द्वारा
result-on = { $device } पर { $seconds } सेकंड में
result-context = क्लिनिकल जानकारी के साथ
result-partial = अधूरी जाँच पर

## स्लाइस

slices-back = { $patient } पर वापस
slices-picture = चित्र; तीर की कुंजियों से स्लाइस बदलें
slices-unoriented = दिशा अज्ञात: फ़ाइल नहीं बताती कि स्लाइस कैसे है, इसलिए अक्षर नहीं हैं।
slices-ways = स्लाइस
slices-number = स्लाइस
slices-show = दिखाएँ
slices-overlay-show = दिखाएँ कि { $finding } का स्कोर कहाँ से आता है
slices-overlay-hide = छिपाएँ कि { $finding } का स्कोर कहाँ से आता है
slices-overlay = रंगी हुई जगहें स्कोर बढ़ाती हैं, लाल सबसे अधिक।
slices-keys = माउस व्हील, तीर, J और K से स्लाइस बदलें; Home और End सिरों पर जाते हैं; माउस खींचने से चमक (ऊपर, नीचे) और कंट्रास्ट (बाएँ, दाएँ) बदलते हैं; उँगली से स्लाइस खिसकाएँ।
slices-place = { $count } में से स्लाइस { $number }
slices-none = इस सीरीज़ में कोई इमेज नहीं है।
slices-unreadable = इस सीरीज़ की { $files } नहीं दिखाई जा सकतीं; पहली: { $first }।
slices-failed = यह स्लाइस नहीं दिखाई जा सकती।
slices-loading = स्लाइस लोड हो रही है…
slices-no-answer = बॉक्स जवाब नहीं दे रहा; फिर कोशिश के लिए स्लाइस बदलते रहें।
volume-link = तीन आयामों में
volume-back = स्लाइसों पर वापस
volume-needs = यह दृश्य JavaScript और WebGL 2 से बनता है। स्लाइसों को इनमें से कुछ नहीं चाहिए।
volume-scene = सीरीज़ तीन तलों में और ठोस रूप में
volume-hands = रेडियोलॉजी की परंपरा: मरीज़ का दायाँ भाग बाईं ओर है। क्लिक से क्रॉस हटता है, पहिये से स्क्रॉल होता है, खींचने से ठोस रूप घूमता है।
volume-loading = सीरीज़ आ रही है…
volume-no-webgl = इस ब्राउज़र में WebGL 2 नहीं है, इसलिए सीरीज़ नहीं बन सकती; उसकी स्लाइसें देखें।
volume-failed = सीरीज़ नहीं बन सकती; उसकी स्लाइसें देखें।
volume-no-answer = बॉक्स जवाब नहीं देता; फिर कोशिश के लिए पेज दोबारा खोलें।
volume-choices = इस सीरीज़ के वॉल्यूम
way-first = पहली
way-previous = पिछली
way-next = अगली
way-last = अंतिम
window-title = चमक और कंट्रास्ट
window-now = विंडो का केंद्र और चौड़ाई अभी:
window-note = MR के ग्रे मानों की कोई इकाई नहीं होती, इसलिए कोई तय विंडो किसी ऊतक पर ठीक नहीं बैठती। “जैसी सहेजी गई” स्कैनर की चुनी विंडो है, या उसके न होने पर पूरी सीरीज़ के लिए एक; “इस स्लाइस से” इस स्लाइस के सबसे गहरे सौवें भाग को काला और सबसे चमकीले सौवें भाग को सफ़ेद करती है; बाकी दिखाई जा रही विंडो से आगे बढ़ती हैं।
window-stored = जैसी सहेजी गई
window-slice = इस स्लाइस से
window-brighter = अधिक चमक
window-darker = कम चमक
window-more-contrast = अधिक कंट्रास्ट
window-less-contrast = कम कंट्रास्ट
place-right = { $mm } मिमी दाएँ
place-left = { $mm } मिमी बाएँ
place-anterior = { $mm } मिमी आगे
place-posterior = { $mm } मिमी पीछे
place-inferior = { $mm } मिमी नीचे
place-superior = { $mm } मिमी ऊपर

## सिस्टम

system-title = सिस्टम
system-checks = परीक्षण
system-version = संस्करण
system-running = चलने का समय
system-time = बॉक्स का समय
system-good = सब ठीक चल रहा है।
system-notices = { $n ->
    [one] सब ठीक चल रहा है, { $n } सूचना के साथ।
   *[other] सब ठीक चल रहा है, { $n } सूचनाओं के साथ।
}
system-problems = { $n ->
    [one] { $n } समस्या सुलझानी है।
   *[other] { $n } समस्याएँ सुलझानी हैं।
}
system-stale = बॉक्स ने { $span } से स्वयं को नहीं जाँचा; नीचे की जानकारी पुरानी है। इसे रीस्टार्ट करें
verdict-good = ठीक
verdict-notice = सूचना
verdict-problem = समस्या
system-receiving = प्राप्ति
system-senders = हाल में इमेज भेजने वाले
system-no-senders = किसी ने इमेज नहीं भेजी।
system-connected = अभी जुड़े हुए
system-no-connected = कोई जुड़ा नहीं है।
system-peer = { $name }, { $address }
system-studies = जाँचें
system-arriving = आ रही हैं
system-waiting = विश्लेषण की प्रतीक्षा में
system-analysing = विश्लेषण जारी
system-models = मॉडल
system-no-models = कोई मॉडल इंस्टॉल नहीं है।
model-use = उपयोग
model-mode-off = बंद
model-mode-shadow = छाया
model-mode-assist = सहायक
model-killed = रोका गया
model-killed-since = { $when } से
model-self-test = स्व-परीक्षण
model-installed = इंस्टॉल
model-weights = वेट
model-allow = इस मॉडल को फिर चलने दें
model-kill = यह मॉडल अभी रोकें
model-untested = अभी परखा नहीं गया
model-passed = सफल: सबसे बड़ा अंतर { $worst }, स्वीकार्य { $tolerance }
model-passed-bare = सफल; मॉडल में तुलना के मान नहीं हैं
model-failed = असफल: गणना वैसी नहीं जैसी होनी चाहिए
model-unreadable = पढ़ा नहीं जा सकता
system-quarantine = अलग रखी गईं
system-no-quarantine = कोई इमेज अलग नहीं रखी गई।
system-commitments = स्टोरेज कमिटमेंट
system-no-commitments = किसी स्कैनर ने नहीं माँगा।
hospital-unsent = रेफ़रल अस्पताल नहीं पहुँचे
hospital-row-study = जाँच { $study } का { $kind }
hospital-flag = रेफ़रल
hospital-objects = परिणाम
hospital-series = चित्र
hospital-other = बिना मरीज़ की रिपोर्ट
hospital-again-which = संदेश { $row }
archives-title = दूसरी प्रणालियों को परिणाम
archives-none = कोई आर्काइव या HL7 प्राप्तकर्ता सेट नहीं है; परिणाम इसी बॉक्स पर रहते हैं।
archives-counts = { $sent } भेजे, { $waiting } प्रतीक्षा में
archives-oldest = (सबसे पुराना { $ago })
archives-refused = नहीं लिए गए
archives-study = जाँच { $study }
archives-for = { $archive } के लिए
archives-again = फिर भेजें
archives-again-which = जाँच { $study } का परिणाम { $archive } को
hub-title = रेफ़रल अस्पताल
hub-address = अस्पताल का सर्वर
hub-site = जहाँ इस बॉक्स का नाम { $site } है
hub-link = संपर्क
hub-starting = अभी आज़माया नहीं गया
hub-working = भेजा जा रहा है
hub-idle = सब भेज दिया गया
hub-waiting = उत्तर नहीं; अपने आप फिर कोशिश होगी
hub-barred = किसी को कुछ करना होगा
hub-contact = पिछला उत्तर
hub-never = कभी नहीं
hub-clock-behind = इस बॉक्स की घड़ी { $span } पीछे है
hub-clock-ahead = इस बॉक्स की घड़ी { $span } आगे है
hub-carries = गति
hub-speed = लगभग { $kbit } kbit/s
hub-images-wait = सीरीज़ अपने समय की प्रतीक्षा में हैं
hub-sticks = कोई नहीं: जो प्रतीक्षा में है वह USB से ले जाया जाता है
hub-outbox = भेजे जाने की प्रतीक्षा में
hub-counts = रेफ़रल { $flags }, परिणाम { $results }, सीरीज़ { $series }, अन्य { $other }
hub-oldest = (सबसे पुराना रेफ़रल { $ago })
system-events = हाल की घटनाएँ
system-no-events = कुछ नहीं हुआ।
settings-title = लागू सेटिंग
settings-how = इन्हें सेटिंग फ़ाइल में बदला जाता है और ये अगली शुरुआत से लागू होती हैं; `appliance check-config` पहले फ़ाइल जाँचता है।
system-json = यह पृष्ठ JSON में

## गुणवत्ता

quality-title = गुणवत्ता
quality-intro = स्कैनर, स्कोर और पढ़ने वालों की तुलना यहाँ की सामान्य स्थिति से होती है। चेतावनी देखने का कारण है, खराबी का प्रमाण नहीं।
quality-alarms = चेतावनियाँ
quality-no-alarms = कोई चेतावनी खुली नहीं है।
quality-since = { $when } से { $what } ({ $why })।
quality-since-bare = { $when } से { $what }।
quality-brighter = { $scanner } की इमेज पहले से { $part } अधिक चमकीली हैं
quality-darker = { $scanner } की इमेज पहले से { $part } अधिक गहरी हैं
quality-contrast-more = { $scanner } की इमेज में पहले से { $part } अधिक कंट्रास्ट है
quality-contrast-less = { $scanner } की इमेज में पहले से { $part } कम कंट्रास्ट है
quality-noise-more = { $scanner } की इमेज में पहले से { $part } अधिक नॉइज़ है
quality-noise-less = { $scanner } की इमेज में पहले से { $part } कम नॉइज़ है
quality-head-more = { $scanner } की इमेज में सिर पहले से { $part } अधिक जगह लेता है
quality-head-less = { $scanner } की इमेज में सिर पहले से { $part } कम जगह लेता है
quality-slices-more = { $scanner } की सीरीज़ में पहले से { $part } अधिक स्लाइस हैं
quality-slices-less = { $scanner } की सीरीज़ में पहले से { $part } कम स्लाइस हैं
quality-distance-more = { $scanner } की स्लाइस पहले से { $part } अधिक दूर हैं
quality-distance-less = { $scanner } की स्लाइस पहले से { $part } अधिक पास हैं
quality-tokens-more = मॉडल { $scanner } की हर सीरीज़ का पहले से { $part } अधिक भाग पढ़ता है
quality-tokens-less = मॉडल { $scanner } की हर सीरीज़ का पहले से { $part } कम भाग पढ़ता है
quality-series = { $scanner } की जाँचों में औसतन { $before } के बजाय { $now } उपयोगी सीरीज़ हैं
quality-left-out = { $scanner } की हर जाँच की औसतन { $before } के बजाय { $now } सीरीज़ या फ़ाइलें काम नहीं आतीं
quality-priority-more = मॉडल { $scanner } की जाँचों को पहले से अधिक अत्यावश्यक मानता है
quality-priority-less = मॉडल { $scanner } की जाँचों को पहले से कम अत्यावश्यक मानता है
quality-age-more = { $scanner } के मरीज़ मॉडल को पहले से अधिक उम्र के लगते हैं
quality-age-less = { $scanner } के मरीज़ मॉडल को पहले से कम उम्र के लगते हैं
quality-score-more = { $scanner } की जाँचों में { $finding } का स्कोर पहले से ऊँचा है: औसतन { $before } के बजाय { $now }
quality-score-less = { $scanner } की जाँचों में { $finding } का स्कोर पहले से नीचा है: औसतन { $before } के बजाय { $now }
quality-no-result = { $scanner } की { $before } के बजाय { $now } जाँचों का परिणाम नहीं मिलता
quality-override = पढ़ने वाले { $scanner } के { $before } के बजाय { $now } परिणाम बदलते हैं
quality-psi = PSI { $psi }, { $limit } से ऊपर
quality-software = { $old } के बजाय सॉफ़्टवेयर { $new }
quality-others = { $n ->
    [one] { $n } और मान भी
   *[other] { $n } और मान भी
}
quality-advise-input = इसकी जाँचों के परिणाम गलत हो सकते हैं: रेडियोलॉजिस्ट से अगली दस जाँचें सूची के बिना पढ़ने को कहें, और सहायता को बताएँ।
quality-advise-scores = इसकी जाँचों के परिणाम गलत हो सकते हैं: रेडियोलॉजिस्ट से अगली दस जाँचें सूची के बिना पढ़ने को कहें, और मॉडल के ज़िम्मेदार व्यक्ति को बताएँ।
quality-advise-no-result = इन जाँचों को मॉडल की मदद के बिना पढ़ें, कार्य सूची में कारण देखें, और सहायता को बताएँ।
quality-advise-override = पढ़ने वालों से पूछें कि वे क्या बदलते हैं; मॉडल गलत हो तो उसे सिस्टम पृष्ठ पर रोकें।
quality-other-version = स्कैनर { $scanner }: यह चेतावनी इस प्रोग्राम के किसी और संस्करण ने सहेजी थी।
quality-opened = खुली
quality-seen = पिछली बार दिखी
quality-found-out = आपने क्या पाया?
quality-acknowledge = मैंने देख लिया
quality-known = { $name } ने { $ago } देखी
quality-closed-passed = यह { $ago } समाप्त हुई।
quality-closed-normal = इसे { $ago } सामान्य घोषित किया गया।
quality-closed-model = { $ago } दूसरा मॉडल लगा।
quality-past = पुरानी चेतावनियाँ
quality-scanners = स्कैनर
quality-no-scanners = लागू मॉडल ने अभी कोई जाँच नहीं देखी।
quality-looked = पिछली जाँच:
quality-not-looked = अभी नहीं देखा गया।
quality-learning = सामान्य स्थिति सीखी जा रही है: { $need } में से { $have } जाँचें।
quality-watched = निगरानी में।
quality-chart-no-result = बिना परिणाम की जाँचें
quality-chart-override = पढ़ने वालों के बदले परिणाम
quality-chart-rate = संदर्भ में { $reference }; { $usual } तक सामान्य माना जाता है, { $noticed } पकड़ में आना चाहिए।
quality-chart-sum = योग { $sum }, { $limit } पर चेतावनी।
quality-chart-promise = औसतन { $studies } जाँचों में एक झूठी चेतावनी; असली बदलाव औसतन { $delay } के बाद पकड़ में आता है।
quality-compared = क्या तुलना होती है
quality-quantity = मात्रा
quality-before = पहले
quality-now = अब
quality-index = PSI
quality-chance = संयोग
quality-mark = चिह्न
quality-drifted = बदला
quality-how = अनुपात पहले की उसी प्रकार की सीरीज़ से हैं, इसलिए 1 का अर्थ है कोई बदलाव नहीं। PSI बताता है कि दो वितरण कितने दूर हैं; संयोग बिना बदलाव ऐसे अंतर की संभावना है, मात्राओं की संख्या के अनुसार ठीक की हुई।
quality-quantity-brightness = चमक (अनुपात)
quality-quantity-contrast = कंट्रास्ट (अनुपात)
quality-quantity-noise = नॉइज़ (अनुपात)
quality-quantity-head = इमेज में सिर का आकार (अनुपात)
quality-quantity-slices = सीरीज़ की स्लाइस (अनुपात)
quality-quantity-distance = स्लाइसों की दूरी (अनुपात)
quality-quantity-tokens = सीरीज़ का मॉडल द्वारा पढ़ा भाग (अनुपात)
quality-quantity-series = जाँच की उपयोगी सीरीज़
quality-quantity-left-out = काम न आने वाली सीरीज़ या फ़ाइलें
quality-quantity-priority = तात्कालिकता
quality-quantity-age = इमेज के अनुसार उम्र
quality-quantity-score = { $finding } का स्कोर
quality-normal = नई सामान्य स्थिति घोषित करें
quality-normal-how = संदर्भ नया बनता है: चेतावनी शुरू होने के बाद की जाँचों से, या चेतावनी न हो तो अगली जाँचों से। इस स्कैनर की चेतावनियाँ बंद होती हैं। पर्याप्त जाँचें होने तक कोई तुलना नहीं होती।
quality-normal-set = अब यही सामान्य है
quality-findings = निष्कर्ष कितनी बार सही हैं
quality-findings-how = यहाँ के पढ़ने वालों के निर्णय से। { $least } से कम परखे निष्कर्षों वाले समूह नहीं दिखाए जाते।
quality-share = { $judged } में से { $agreed } सही: PPV { $ppv } (95 % अंतराल { $low } से { $high })
quality-age = { $band } वर्ष
quality-low = कम
quality-few = { $n ->
    [one] { $n } और निष्कर्ष बहुत कम बार परखा गया।
   *[other] { $n } और निष्कर्ष बहुत कम बार परखे गए।
}

## उपयोगकर्ता और लॉग इन

users-title = उपयोगकर्ता
users-once = यह केवल इस बार दिखता है और कहीं सहेजा नहीं जाता।
users-who = कौन लॉग इन कर सकता है
users-kept-out = रोका गया
users-no-password = अभी पासवर्ड नहीं चुना
users-role-of = { $name } की भूमिका
users-set-role = भूमिका तय करें
users-set-role-of = ({ $name })
users-reset = नया पासवर्ड
users-reset-for = { $name } के लिए
users-enable = फिर आने दें
users-disable = रोकें
users-add-title = उपयोगकर्ता जोड़ें
users-name = नाम
users-role = भूमिका
users-add = जोड़ें
users-tech = जाँचें देखता है, क्लिनिकल जानकारी देता है, परिणाम फिर भेजता है
users-reader = यह सब, और जाँचों पर निर्णय
users-service = सिस्टम पृष्ठ और मॉडल देखता है, कोई मरीज़ नहीं
users-admin = यह सब, और उपयोगकर्ता
users-added = { $name } को जोड़ा गया। पहले लॉग इन का पासवर्ड है
users-was-reset = { $name } हर जगह से लॉग आउट है। अगले लॉग इन का पासवर्ड है
users-role-now = { $name } की भूमिका अब { $role } है।
users-disabled = { $name } अब लॉग इन नहीं कर सकता।
users-enabled = { $name } फिर लॉग इन कर सकता है।
tokens-title = प्रोग्रामों के टोकन
tokens-none = किसी प्रोग्राम के पास टोकन नहीं है।
tokens-rights = { $name } के अधिकारों के साथ
tokens-used = अंतिम उपयोग
tokens-revoke = रद्द करें
tokens-revoke-which = { $name } के लिए { $program } का टोकन
tokens-program = प्रोग्राम
tokens-rights-of = किसके अधिकारों के साथ
tokens-add = टोकन बनाएँ
tokens-added = { $program } { $name } की ओर से इस टोकन से काम करता है
tokens-revoked = { $name } के लिए { $program } का टोकन रद्द है।
login-title = लॉग इन
login-name = नाम
login-password = पासवर्ड
login-users = इस बॉक्स का प्रशासक उपयोगकर्ता और नए पासवर्ड बनाता है।
login-lasts = लॉग इन दस घंटे चलता है, या बिना खुले पृष्ठ के एक घंटा।
login-refused = यह नाम और यह पासवर्ड मेल नहीं खाते।
setup-page = पहला उपयोगकर्ता
setup-title = इस बॉक्स का पहला उपयोगकर्ता
setup-text = अभी कोई लॉग इन नहीं कर सकता। जिसे आप यहाँ लिखें वह प्रशासक होगा और बाकी को जोड़ेगा।
setup-code = कोड, जो बॉक्स शुरू करते समय दिखा था
setup-name = नाम, जैसा निर्णयों के साथ दिखे
setup-password = पासवर्ड, कम से कम { $n } अक्षर; कुछ शब्द एक साथ याद रखना आसान है
setup-button = यह उपयोगकर्ता बनाएँ
account-title = आपका खाता
account-must-change = अपना पासवर्ड चुनें: वर्तमान पासवर्ड बॉक्स ने बनाया था और इससे कुछ और नहीं खुलता।
account-present = वर्तमान पासवर्ड
account-new = नया पासवर्ड, कम से कम { $n } अक्षर; कुछ शब्द एक साथ याद रखना आसान है
account-again = नया पासवर्ड फिर से
account-change = पासवर्ड बदलें
account-elsewhere = इसे बदलने से आप बाकी हर जगह से लॉग आउट हो जाते हैं।

## त्रुटियाँ

title-400 = अनुरोध ठीक नहीं
title-401 = लॉग इन आवश्यक
title-403 = अनुमति नहीं
title-404 = नहीं मिला
title-405 = ऐसे उपयोग नहीं
title-409 = टकराव
title-410 = हटाया गया
title-421 = अज्ञात नाम
title-422 = पढ़ा नहीं जा सकता
title-429 = बहुत अधिक प्रयास
title-500 = आंतरिक त्रुटि
title-503 = अभी उपलब्ध नहीं
title-507 = डिस्क भरी है
error-home = कार्य सूची पर
error-internal = बॉक्स के भीतर कुछ विफल हुआ, और कुछ बदला नहीं गया; फिर कोशिश करें, और यही रहे तो सहायता को फ़ोन करें और सिस्टम पृष्ठ खोलें
error-disk-full = डिस्क भरी होने से कुछ सहेजा नहीं गया; सिस्टम पृष्ठ देखें
error-busy = बॉक्स ने जवाब देने में बहुत देर की; फिर कोशिश करें
error-no-page = पृष्ठ { $page } नहीं है
error-no-study = जाँच { $study } नहीं है
error-no-picture = जाँच { $study } का ऐसा चित्र नहीं है
error-no-series = जाँच { $study } में सीरीज़ { $series } नहीं है
error-no-slice = स्लाइस { $slice } नहीं है; सीरीज़ में { $count } हैं, 1 से गिनकर
error-no-volume = वॉल्यूम { $volume } नहीं है; सीरीज़ में { $count } हैं, 1 से गिने हुए
error-volume-places = यह सीरीज़ वॉल्यूम नहीं है: उसकी स्लाइसें नहीं बतातीं कि वे कहाँ हैं, या आकार या दिशा में अलग हैं
error-volume-one = यह सीरीज़ वॉल्यूम नहीं है: उसमें एक ही स्लाइस है
error-volume-uneven = यह सीरीज़ वॉल्यूम नहीं है: एक स्लाइस समान ढेर में अपनी जगह से { $off } mm दूर है
error-volume-large = यह सीरीज़ वॉल्यूम के लिए बहुत बड़ी है: { $size } वॉक्सेल, अधिकतम { $most }
error-volume-colour = यह सीरीज़ रंगीन है, और वॉल्यूम धूसर मानों से बनते हैं
error-series-changed = पृष्ठ खुलने के बाद सीरीज़ बदल गई; उसे फिर खोलें
error-evicted = जगह बनाने के लिए जाँच { $study } की इमेज हटाई गईं; उसके परिणाम सुरक्षित हैं
error-slice = यह स्लाइस नहीं दिखाई जा सकती: { $why }
error-no-delivery = भेजना { $delivery } छोड़ा नहीं गया था; शायद वह फिर भेजा जा चुका है
error-no-result = जाँच { $study } का परिणाम { $result } दिखाया नहीं जा सकता
error-method = इस पते का उपयोग ऐसे नहीं हो सकता
error-host = यह बॉक्स { $host } नाम से नहीं जाना जाता; इसे IP पते से खोलें, या सेटिंग में `web.host_names` में यह नाम जोड़ें
error-origin = यह इस बॉक्स के किसी पृष्ठ से नहीं भेजा गया; पृष्ठ फिर खोलें, या प्रोग्राम से हेडर `Authorization: Bearer TOKEN` भेजें
error-log-in = पहले लॉग इन करें; प्रोग्राम हेडर `Authorization: Bearer TOKEN` भेजता है, जिसका टोकन उपयोगकर्ता पृष्ठ या `appliance user token` बनाता है
error-new-password = पहले पृष्ठ /account पर अपना पासवर्ड चुनें
error-role = यहाँ आपकी भूमिका { $role } है, जिसमें { $right } नहीं आता; इस बॉक्स के प्रशासक से पूछें
right-operate = बॉक्स की देखभाल
right-patients = मरीज़ देखना
right-decide = जाँचों पर निर्णय
right-models = मॉडल चुनना
right-reference = नई सामान्य स्थिति घोषित करना
right-users = उपयोगकर्ता बदलना
right-settings = नई सेटिंग रखना
error-wait = बहुत से गलत प्रयास; { $n } सेकंड रुकें और फिर कोशिश करें
error-setup-code = यह इस बॉक्स का कोड नहीं है; वह वहाँ दिखा था जहाँ `appliance serve` शुरू हुआ, और बिना उपयोगकर्ताओं के हर शुरुआत नया बनाती है
error-password-short = पासवर्ड में { $n } अक्षर हैं; कम से कम { $least } चाहिए, और कुछ शब्द एक साथ याद रखना आसान है
error-password-long = पासवर्ड में { $n } अक्षर हैं; अधिकतम { $most }
error-password-name = पासवर्ड और नाम एक ही हैं; दूसरा चुनें
error-password-other = वर्तमान पासवर्ड यह नहीं है
error-password-twice = नया पासवर्ड दो तरह से लिखा गया
error-password-same = नया पासवर्ड वर्तमान जैसा ही है
error-user-name = { $name } नाम नहीं हो सकता; 1 से { $most } अक्षर दें, `:` और नियंत्रण वर्णों के बिना
error-user-exists = उपयोगकर्ता { $name } पहले से है
error-no-user = उपयोगकर्ता { $name } नहीं है
error-last-admin = { $name } अकेला प्रशासक है; पहले दूसरा बनाएँ
error-not-first = इस बॉक्स में उपयोगकर्ता पहले से हैं; इसके प्रशासक से जोड़ने को कहें
error-token-exists = { $name } के पास { $program } का टोकन पहले से है; पहले उसे रद्द करें
error-no-token = { $name } के पास { $program } का टोकन नहीं है
error-no-role = भूमिका { $role } नहीं है; ये हैं: { $known }
error-no-action = क्रिया { $action } नहीं है
error-no-queue = कतार { $queue } नहीं है; ये हैं: { $known }
error-no-language = भाषा { $language } नहीं है; ये हैं: { $known }
error-number = पते की संख्या कोई संख्या नहीं है
error-too-long = पाठ बहुत लंबा है; अधिकतम 64 KiB
error-context-long = जानकारी में { $n } अक्षर हैं; अधिकतम { $most }
error-choose-acuity = गंभीरता चुनें
error-no-decision-kind = निर्णय { $kind } नहीं है
error-no-decision = निर्णय { $decision } नहीं है
error-already-undone = निर्णय { $decision } पहले ही वापस लिया जा चुका है
error-no-finding = जाँच { $study } के दिखाए गए परिणाम में { $finding } नहीं है; पृष्ठ फिर खोलें
error-no-reason = एक या कुछ शब्दों में कारण दें
error-reason-long = कारण में { $n } अक्षर हैं; अधिकतम { $most }
error-no-such-model = { $name } नाम का, या ऐसे शुरू होने वाले digest का कोई मॉडल इंस्टॉल नहीं है; `appliance model list` देखें
error-ambiguous-model = { $name } से { $count } मॉडल मिलते हैं; digest के और अंक दें
error-killed = मॉडल { $name } रोका गया है; पहले `appliance model revive` से उसे खोलें
error-no-earlier = लौटने के लिए कोई पिछला मॉडल नहीं है
error-no-trial = कोई नई सेटिंग रखे जाने की प्रतीक्षा में नहीं है
error-trial-late = देर हो गई: { $why }; पिछली सेटिंग लागू हैं
error-no-alarm = खुली चेतावनी { $alarm } नहीं है
error-no-scanner = ऐसा स्कैनर { $scanner } नहीं है जिसकी जाँचें निगरानी में हों

## निदान, मॉडल के लेबल से

diagnosis-cyst_arachnoid_cyst = एरेक्नॉइड सिस्ट
diagnosis-cyst_colloid_cyst = कोलॉइड सिस्ट
diagnosis-developmental_dandy_walker_malformation = डैंडी-वॉकर विकृति
diagnosis-developmental_dysgenesis_corpus_callosum = कॉर्पस कैलोसम डिसजेनेसिस
diagnosis-developmental_heterotopia = हेटेरोटोपिया
diagnosis-infectious_brain_abscess = मस्तिष्क फोड़ा (एब्सेस)
diagnosis-infectious_viral_encephalitis = वायरल एन्सेफलाइटिस
diagnosis-inflammatory_multiple_sclerosis = मल्टीपल स्क्लेरोसिस
diagnosis-inflammatory_neurosarcoid = न्यूरोसार्कॉइड
diagnosis-sellar_craniopharyngioma = क्रेनियोफैरिंजियोमा
diagnosis-sellar_pituitary_adenoma = पिट्यूटरी एडेनोमा
diagnosis-sellar_rathkes_cleft_cyst = रैथके क्लेफ़्ट सिस्ट
diagnosis-spine_syrinx = सिरिंक्स
diagnosis-structural_brain_herniation = ब्रेन हर्निएशन
diagnosis-structural_cephaloceles = सेफैलोसील
diagnosis-structural_cerebral_atrophy = सेरेब्रल एट्रोफी
diagnosis-structural_chiari_malformation = कियारी विकृति
diagnosis-structural_edema = एडिमा (सूजन)
diagnosis-structural_encephalomalacia = एन्सेफैलोमलेशिया
diagnosis-structural_mass_effect = मास इफ़ेक्ट
diagnosis-structural_midline_shift = मिडलाइन शिफ़्ट
diagnosis-surgical_catheter = कैथेटर
diagnosis-surgical_craniotomy = क्रेनियोटॉमी
diagnosis-surgical_resection_cavity = रिसेक्शन कैविटी
diagnosis-trauma_brain_contusion = ब्रेन कन्ट्यूज़न
diagnosis-trauma_diffuse_axonal_injury = डिफ़्यूज़ एक्सोनल इंजरी
diagnosis-trauma_subdural_hematoma = सबड्यूरल हेमेटोमा
diagnosis-tumor_adult_brain_metastasis = ब्रेन मेटास्टेसिस
diagnosis-tumor_adult_glioma = ग्लायोमा
diagnosis-tumor_adult_high_grade_glioma = हाई ग्रेड ग्लायोमा
diagnosis-tumor_adult_low_grade_glioma = लो ग्रेड ग्लायोमा
diagnosis-tumor_adult_lymphoma = लिम्फोमा
diagnosis-tumor_adult_meningioma = मेनिन्जियोमा
diagnosis-tumor_adult_pineal_tumor = पीनियल ट्यूमर
diagnosis-tumor_adult_schwannoma = श्वानोमा
diagnosis-tumor_pediatric_brainstem_glioma = ब्रेनस्टेम ग्लायोमा (बच्चों में)
diagnosis-tumor_pediatric_ependymoma = एपेन्डिमोमा (बच्चों में)
diagnosis-tumor_pediatric_germ_cell_tumor = जर्म सेल ट्यूमर (बच्चों में)
diagnosis-tumor_pediatric_medulloblastoma = मेडुलोब्लास्टोमा (बच्चों में)
diagnosis-tumor_pediatric_pilocytic_astrocytoma = पाइलोसाइटिक एस्ट्रोसाइटोमा (बच्चों में)
diagnosis-vascular_hemorrhagic_intracranial_hemorrhage = इंट्राक्रेनियल हेमरेज
diagnosis-vascular_hemorrhagic_intraventricular_hemorrhage = इंट्रावेंट्रिकुलर हेमरेज
diagnosis-vascular_hemorrhagic_subarachnoid_hemorrahage = सबएरेक्नॉइड हेमरेज
diagnosis-vascular_ischemic_lacunar_stroke = लैकूनर स्ट्रोक
diagnosis-vascular_ischemic_large_vessel_stroke = बड़ी वाहिका का स्ट्रोक
diagnosis-vascular_ischemic_moyamoya = मोयामोया
diagnosis-vascular_ischemic_small_vessel_disease = छोटी वाहिकाओं का रोग
diagnosis-vascular_malformation_arteriovenous_malformation = आर्टेरियोवीनस मैलफ़ॉर्मेशन (AVM)
diagnosis-vascular_malformation_cavernoma = कैवर्नोमा
diagnosis-vascular_malformation_cerebral_aneurysm = सेरेब्रल एन्यूरिज़्म
diagnosis-ventricular_intracranial_hypotension = इंट्राक्रेनियल हाइपोटेंशन
diagnosis-ventricular_ventriculomegaly = वेंट्रिकुलोमेगाली
