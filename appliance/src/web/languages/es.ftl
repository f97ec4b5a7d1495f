### Las páginas en español. El inglés (en.ftl) es la referencia.

## Alrededor de cada página

frame-title = Triaje de RM cerebral
frame-skip = Ir al contenido
frame-pages = Páginas
frame-worklist = Lista de trabajo
frame-system = Sistema
frame-problems = { $n ->
    [one] { $n } problema
   *[other] { $n } problemas
}
frame-users = Usuarios
frame-you = Usted: { $name }
frame-log-out = Cerrar sesión
frame-untrained-mark = MODELO SIN ENTRENAR.
frame-untrained = Los hallazgos, la gravedad y el orden no significan nada: { $statement }.
frame-simulated-mark = MODELO DE DATOS SIMULADOS.
frame-simulated = Nunca probado en pacientes; no confíe en los hallazgos, la gravedad ni el orden: { $statement }.
frame-trial-mark = NUEVOS AJUSTES DE RED A PRUEBA.
frame-trial = Los anteriores vuelven dentro de { $span }, salvo que un administrador conserve los nuevos.
frame-trial-keep = Conservarlos
frame-model = Modelo { $name }
frame-no-model = No hay ningún modelo en uso: los estudios se ordenan por antigüedad. Uso en investigación; no es un producto sanitario.
frame-version = Versión { $version }
language-label = Idioma
language-set = Usar
language-unreviewed = Esta traducción aún no fue revisada por una persona de lengua materna; en caso de duda vale el texto en inglés.

## Cantidades, tiempos y pacientes

count-images = { $n ->
    [one] { $n } imagen
   *[other] { $n } imágenes
}
count-images-of = { $n } de { $expected ->
    [one] { $expected } imagen
   *[other] { $expected } imágenes
}
count-files = { $n ->
    [one] { $n } archivo
   *[other] { $n } archivos
}
count-attempts = { $n ->
    [one] { $n } intento
   *[other] { $n } intentos
}
time-just-now = ahora mismo
time-ago = hace { $span }
time-unknown = en un momento desconocido
span-seconds = { $n } s
span-minutes = { $n } min
span-hours = { $n } h
span-days = { $n } días
age-years = { $n ->
    [one] { $n } año
   *[other] { $n } años
}
age-months = { $n ->
    [one] { $n } mes
   *[other] { $n } meses
}
age-weeks = { $n ->
    [one] { $n } semana
   *[other] { $n } semanas
}
age-days = { $n ->
    [one] { $n } día
   *[other] { $n } días
}
age-sex-unknown = edad y sexo desconocidos
sex-other = otro sexo
patient-no-name = (sin nombre)

## Gravedad, urgencia, estados y marcas

acuity-label = Gravedad
acuity-high = ALTA
acuity-medium = MEDIA
acuity-low = BAJA
acuity-none = NINGUNA
acuity-unknown = INCIERTA
acuity-not-yet = AÚN NO
urgency-routine = de rutina
urgency-soon = pronto
urgency-urgent = urgente
urgency-emergency = emergencia
state-late = llegan imágenes tardías: { $images } hasta ahora
state-receiving = recibiendo: { $images } hasta ahora
state-waiting = completo, espera análisis ({ $images })
state-analysing = analizando ({ $images })
state-not-analysed = sin analizar ({ $images })
state-complete = completo ({ $images })
state-analysed = analizado ({ $images })
mark-overdue = ATRASADO
mark-overdue-why = esperó { $span } de más
mark-partial = INCOMPLETO
mark-partial-why = faltan imágenes que el equipo anunció
mark-late = IMÁGENES TARDÍAS
mark-late-why = llegaron imágenes con el estudio ya completo
mark-set = FIJADA POR LECTOR
mark-set-why = un lector fijó { $acuity }
mark-hospital-dead = NO ESTÁ EN EL HOSPITAL
mark-hospital-dead-why = la derivación no llegó al hospital: { $why }
mark-hospital-waits = AÚN SIN ENVIAR
mark-hospital-waits-why = la derivación espera desde hace { $span } llegar al hospital
mark-accepted = ACEPTADA
mark-declined = RECHAZADA
mark-completed = RESPONDIDA
mark-answer-why = por { $name }, { $ago }

## Lista de trabajo

queue-all-open = Todos abiertos
queue-all = Todos
queue-urgent = Urgentes
queue-review = Por revisar
queue-not-analysed = Sin analizar
queue-done = Terminados
queue-empty = No espera ningún estudio: todos están terminados.
queue-empty-urgent = No espera ningún estudio urgente.
queue-empty-review = No espera ningún estudio por revisar.
queue-empty-not-analysed = Se analizaron todos los estudios completos.
queue-empty-done = Aún no hay estudios terminados.
worklist-title = Lista de trabajo
worklist-arrivals = Últimas llegadas
worklist-queues = Colas
worklist-search = Buscar
worklist-search-label = Nombre del paciente, ID o número de acceso
worklist-live = Volver a la lista
worklist-empty-title = Aún no ha llegado nada
worklist-empty = Escriba esto en el resonador como nuevo nodo de red (también llamado destino DICOM o archivo):
worklist-empty-next = Luego envíe un estudio. Aparece aquí en cuanto llegan sus primeras imágenes.
worklist-no-fit = Ningún estudio coincide
worklist-no-fit-words = Cada palabra debe estar en el nombre del paciente, en su ID o en el número de acceso.
worklist-no-fit-letters = Bastan unas letras del nombre.
worklist-no-id = sin ID de paciente
worklist-more = y { $n } más
worklist-done = Terminado
worklist-pages = Más estudios
worklist-paging = { $from } a { $to } de { $total }
worklist-back = Antes en la lista
worklist-next = Más abajo en la lista
worklist-as-of = Estado del { $now }.
worklist-reloads = Esta página se recarga cada { $seconds } segundos.
worklist-reloads-not = Esta página no se recarga mientras busca.
worklist-order = Primero lo más grave; un estudio que esperó demasiado va antes que todos.
live-yes = En directo: lo nuevo aparece aquí solo.
live-polls = Sin conexión directa: la lista se pide cada { $seconds } segundos.
live-silent = Sin conexión directa: el equipo no responde y esta lista es antigua.
live-new = { $n } nuevos o cambiados: mostrar
live-study = Hay algo nuevo en este estudio: mostrar
worklist-keys = J y K bajan y suben por la lista, Intro abre un estudio, Escape sale de la lista. Las filas no se mueven bajo el puntero ni bajo el teclado.
receive-ae-title = AE title
receive-address = Dirección
receive-or = o
receive-port = Puerto
receive-tls-port = Puerto TLS

## Estudio

study-no-description = (sin descripción)
study-not-analysed = Sin analizar:
study-queue = Cola: { $queue }
study-unaided = Lea este estudio sin ayuda del modelo.
study-untrained-mark = Este resultado es de un modelo sin entrenar:
study-untrained = los números son aleatorios y no significan nada.
study-simulated-mark = Este resultado es de un modelo de datos simulados:
study-simulated = nunca se probó en pacientes; no confíe en él.
study-arrived = Llegada
fact-patient-id = ID del paciente
fact-born = Nacimiento
fact-accession = Número de acceso
fact-study-date = Fecha del estudio
fact-body-part = Región
fact-scanner = Equipo
fact-institution = Institución
fact-referrer = Solicitado por
fact-study-uid = Study UID
decide-title = Decidir
decide-reopen = Abrir de nuevo
decide-done = Marcar terminado
decide-acuity = Cambiar la gravedad
decide-why = ¿Por qué? (necesario)
decide-new-acuity = Nueva gravedad
explanation-title = De dónde viene la puntuación de { $finding }
explanation-failed = No hay imagen: { $why }.
explanation-alt = Corte { $n } de { $series }; las zonas teñidas suben la puntuación de { $finding }, numeradas desde la que más la sube
explanation-text = Las zonas teñidas de { $series } suben la puntuación; la 1 es la que más.
explanation-how = LIME con { $samples } muestras, R² { $fit }
explanation-other-version = la guardó otra versión de este programa
explanation-deleted = se borró con las imágenes para hacer sitio
preview-warning = Vista previa de IA, no para diagnóstico: una zona sin teñir también puede estar enferma.
findings-title = Hallazgos del modelo
findings-acuity = La gravedad según el modelo viene de: { $reasons }.
findings-no-finding = ningún hallazgo alcanza su umbral
findings-none = Ningún hallazgo alcanzó su umbral. Eso no significa que el estudio sea normal.
findings-no-result = No hay resultado que mostrar.
findings-withheld = No se informa en este centro: { $finding }. { $reason }
findings-all = Las { $n } puntuaciones
findings-scores = Una puntuación no es una probabilidad. Lo que alcanza su umbral es un hallazgo.
finding-probability = probabilidad { $share }
finding-score = puntuación { $score }, umbral { $threshold }, margen { $margin }
finding-margin = { $margin } por encima de su umbral
finding-agree = De acuerdo
finding-disagree = En desacuerdo
finding-with = con { $finding }
finding-reason = Motivo
finding-other-reason = Otro motivo
finding-not-judged = aún no valorado aquí
finding-right = acertó { $agreed } de { $judged } veces aquí: VPP { $ppv } (intervalo del 95 % de { $low } a { $high })
finding-overridden = gravedad cambiada en { $share } de { $reviewed } revisados
reason-not-there = no está
reason-known = ya conocido
reason-artefact = artefacto o movimiento
reason-variant = variante normal
reason-explained = otra explicación
referrals-title = Derivaciones sugeridas
referrals-rules = Reglas { $version } ({ $digest }), { $approved }.
referrals-approved = aprobadas por { $name }
referrals-not-approved = no aprobadas por nadie de este centro
hospital-title = Hospital de referencia
hospital-waiting = La derivación espera ser enviada
hospital-there = El hospital tiene la derivación
hospital-dead = La derivación no llegó: { $why }
hospital-withdrawn-waiting = La derivación fue retirada, y el hospital aún no lo sabe
hospital-withdrawn-there = La derivación fue retirada, y el hospital lo sabe
hospital-lost = { $n ->
    [one] { $n } mensaje de este estudio fue abandonado; véase la página Sistema.
   *[other] { $n } mensajes de este estudio fueron abandonados; véase la página Sistema.
}
hospital-received = Nadie la ha visto allí todavía
hospital-accepted = Aceptada
hospital-declined = Rechazada
hospital-completed = Terminada
hospital-note = Nota
hospital-actions = Por hacer
decisions-title = Decisiones
decisions-undo = Deshacer
decision-agree = de acuerdo con { $finding }
decision-disagree = en desacuerdo con { $finding }
decision-acuity = fijó la gravedad { $acuity }
decision-done = marcó como terminado
decision-reopened = abrió de nuevo
decision-undone = deshecho { $ago } por { $name }
context-title = Contexto clínico
context-typed = escrito aquí
context-none = no se envió ninguno
context-sent = enviado por el equipo
context-label = Motivo del estudio; un modelo que lo lee vuelve a puntuar
context-save = Guardar el contexto
context-from-scanner = Usar otra vez el del equipo
context-read = El resultado mostrado tuvo en cuenta un contexto clínico.
context-unread = El resultado mostrado no tuvo en cuenta ningún contexto clínico.
series-title = Series
series-deleted = Las imágenes se borraron para hacer sitio; los resultados se conservan.
series-middle = Corte central
series-looked-at = Analizadas
series-left-out = No analizadas
series-arrived = Como llegaron: { $n ->
    [one] { $n } serie
   *[other] { $n } series
}
series-images = { $n ->
    [one] { $n } imagen
   *[other] { $n } imágenes
}
series-images-of = { $n } de { $expected } imágenes
series-used = { $plane }, { $size }, { $tokens } de { $patches } bloques usados
plane-axial = axial
plane-coronal = coronal
plane-sagittal = sagital
priors-title = Otros estudios con este ID de paciente
priors-read = leído
priors-read-deleted = leído; se borraron sus imágenes
priors-unread = aún no leído
priors-elsewhere = en { $archive }
timeline-title = Qué ocurrió
timeline-first = llegó la primera imagen
timeline-last = llegó la última imagen, { $images } en total
timeline-complete = completo
timeline-complete-again = completo ({ $n }.ª vez)
timeline-partial = faltan imágenes anunciadas
timeline-decided = { $what }, por { $name }
timeline-undone = deshecho por { $name }: { $what }
timeline-deleted = imágenes borradas para hacer sitio; los resultados se conservan
delivery-report = informe
delivery-picture = imagen
delivery-sent = { $kind } enviado a { $archive }
delivery-segmentation = segmentación
delivery-committed = { $kind } enviado a { $archive }, que se ha comprometido a conservarlo
delivery-refused = { $kind } rechazado por { $archive }: { $why }
results-title = Resultados
results-none = Ningún modelo ha visto aún este estudio.
results-shown = Mostrado arriba.
results-device = en { $device }
results-json = Este estudio como JSON
results-line = Vez { $n }: { $text }
result-analysed = analizado
result-not-analysed = sin analizar
result-hidden = visto
result-hidden-why = que está desactivado: no se muestra su resultado
result-by = por { $model }
result-by-digest = por el modelo { $digest }
result-on = en { $device } en { $seconds } s
result-context = con contexto clínico
result-partial = sobre un estudio incompleto

## Cortes

slices-back = Volver a { $patient }
slices-picture = Imagen; las flechas del teclado recorren los cortes
slices-unoriented = Orientación desconocida: el archivo no dice cómo está el corte, por eso no hay letras.
slices-ways = Cortes
slices-number = Corte
slices-show = Mostrar
slices-overlay-show = Mostrar de dónde viene la puntuación de { $finding }
slices-overlay-hide = Ocultar de dónde viene la puntuación de { $finding }
slices-overlay = Las zonas teñidas suben la puntuación, sobre todo las rojas.
slices-keys = La rueda, las flechas, J y K recorren los cortes; Inicio y Fin van a los extremos; arrastrar con el ratón cambia el brillo (arriba, abajo) y el contraste (izquierda, derecha); un dedo recorre los cortes.
slices-place = corte { $number } de { $count }
slices-none = No hay ninguna imagen en esta serie.
slices-unreadable = No se puede mostrar: { $files } de esta serie; el primero: { $first }.
slices-failed = Este corte no se puede mostrar.
slices-loading = Cargando el corte…
slices-no-answer = El equipo no responde; siga pasando cortes para reintentar.
volume-link = En tres dimensiones
volume-back = Volver a los cortes
volume-needs = Esta vista la dibujan JavaScript y WebGL 2. Los cortes no necesitan ninguno de los dos.
volume-scene = La serie en tres planos y como cuerpo
volume-hands = Convención radiológica: la derecha del paciente está a la izquierda. Un clic mueve la cruz, la rueda desplaza, arrastrar gira el cuerpo.
volume-loading = Cargando la serie…
volume-no-webgl = Este navegador no tiene WebGL 2, por eso la serie no se puede dibujar; mire sus cortes.
volume-failed = La serie no se puede dibujar; mire sus cortes.
volume-no-answer = El aparato no responde; vuelva a cargar la página para intentarlo otra vez.
volume-choices = Volúmenes de esta serie
way-first = Primero
way-previous = Anterior
way-next = Siguiente
way-last = Último
window-title = Brillo y contraste
window-now = Centro y ancho de ventana:
window-note = Los grises de la RM no tienen unidad, así que ninguna ventana fija sirve para un tejido. «Como está guardada» es la ventana que eligió el resonador o, si no eligió ninguna, una para toda la serie; «según este corte» hace negra la centésima parte más oscura de este corte y blanca la más clara; las demás parten de lo que se ve.
window-stored = como está guardada
window-slice = según este corte
window-brighter = más claro
window-darker = más oscuro
window-more-contrast = más contraste
window-less-contrast = menos contraste
place-right = { $mm } mm a la derecha
place-left = { $mm } mm a la izquierda
place-anterior = { $mm } mm anterior
place-posterior = { $mm } mm posterior
place-inferior = { $mm } mm inferior
place-superior = { $mm } mm superior

## Sistema

system-title = Sistema
system-checks = Comprobaciones
system-version = Versión
system-running = En marcha desde hace
system-time = Hora del aparato
system-good = Todo funciona.
system-notices = { $n ->
    [one] Todo funciona, con { $n } aviso.
   *[other] Todo funciona, con { $n } avisos.
}
system-problems = { $n ->
    [one] { $n } problema por resolver.
   *[other] { $n } problemas por resolver.
}
system-stale = el aparato no se comprueba desde hace { $span }; lo que sigue es antiguo. Reinícielo
verdict-good = OK
verdict-notice = AVISO
verdict-problem = PROBLEMA
system-receiving = Recepción
system-senders = Enviaron imágenes hace poco
system-no-senders = Nadie ha enviado imágenes.
system-connected = Conectados ahora
system-no-connected = Nadie está conectado.
system-peer = { $name } en { $address }
system-studies = Estudios
system-arriving = Llegando
system-waiting = En espera de análisis
system-analysing = En análisis
system-models = Modelos
system-no-models = No hay ningún modelo instalado.
model-use = Uso
model-mode-off = apagado
model-mode-shadow = en la sombra
model-mode-assist = asistencia
model-killed = desactivado
model-killed-since = desde { $when }
model-self-test = Autoprueba
model-installed = Instalado
model-weights = Pesos
model-allow = Permitir de nuevo este modelo
model-kill = Desactivar este modelo ya
model-untested = aún sin probar
model-passed = superada: mayor diferencia { $worst }, admitida { $tolerance }
model-passed-bare = superada; el modelo no trae valores con que comparar
model-failed = FALLÓ: no calcula lo que debería
model-unreadable = no se puede leer
system-quarantine = Apartadas
system-no-quarantine = No se apartó ninguna imagen.
system-commitments = Compromisos de almacenamiento
system-no-commitments = Ningún equipo ha pedido uno.
hospital-unsent = No llegados al hospital de referencia
hospital-row-study = { $kind } del estudio { $study }
hospital-flag = derivación
hospital-objects = resultado
hospital-series = imágenes
hospital-other = informe sin paciente
hospital-again-which = mensaje { $row }
archives-title = Resultados a otros sistemas
archives-none = No hay archivo ni receptor HL7 configurado; los resultados se quedan en este equipo.
archives-counts = { $sent } enviados, { $waiting } en espera
archives-oldest = (el más antiguo { $ago })
archives-refused = No aceptados
archives-study = Estudio { $study }
archives-for = para { $archive }
archives-again = Enviar otra vez
archives-again-which = el resultado del estudio { $study } a { $archive }
hub-title = Hospital de referencia
hub-address = Servidor del hospital
hub-site = donde este equipo se llama { $site }
hub-link = Enlace
hub-starting = aún no probado
hub-working = enviando
hub-idle = todo está enviado
hub-waiting = sin respuesta; se vuelve a intentar solo
hub-barred = alguien debe actuar
hub-contact = Última respuesta
hub-never = nunca
hub-clock-behind = el reloj de este equipo va { $span } atrasado
hub-clock-ahead = el reloj de este equipo va { $span } adelantado
hub-carries = Velocidad
hub-speed = unos { $kbit } kbit/s
hub-images-wait = las series esperan su horario
hub-sticks = ninguno: lo que espera se lleva en memoria USB
hub-outbox = En espera de envío
hub-counts = derivaciones { $flags }, resultados { $results }, series { $series }, otros { $other }
hub-oldest = (derivación más antigua { $ago })
system-events = Últimos sucesos
system-no-events = No ha ocurrido nada.
settings-title = Ajustes en vigor
settings-how = Se cambian en el archivo de ajustes y valen desde el próximo arranque; `appliance check-config` comprueba antes el archivo.
system-json = Esta página como JSON

## Calidad

quality-title = Calidad
quality-intro = Equipos, puntuaciones y lectores se comparan con lo que era normal aquí. Una alarma es un motivo para mirar, no la prueba de un fallo.
quality-alarms = Alarmas
quality-no-alarms = No hay ninguna alarma abierta.
quality-since = Desde el { $when }, { $what } ({ $why }).
quality-since-bare = Desde el { $when }, { $what }.
quality-brighter = las imágenes de { $scanner } son un { $part } más claras que antes
quality-darker = las imágenes de { $scanner } son un { $part } más oscuras que antes
quality-contrast-more = las imágenes de { $scanner } tienen un { $part } más de contraste que antes
quality-contrast-less = las imágenes de { $scanner } tienen un { $part } menos de contraste que antes
quality-noise-more = las imágenes de { $scanner } tienen un { $part } más de ruido que antes
quality-noise-less = las imágenes de { $scanner } tienen un { $part } menos de ruido que antes
quality-head-more = la cabeza ocupa un { $part } más de las imágenes de { $scanner } que antes
quality-head-less = la cabeza ocupa un { $part } menos de las imágenes de { $scanner } que antes
quality-slices-more = las series de { $scanner } tienen un { $part } más de cortes que antes
quality-slices-less = las series de { $scanner } tienen un { $part } menos de cortes que antes
quality-distance-more = los cortes de { $scanner } están un { $part } más separados que antes
quality-distance-less = los cortes de { $scanner } están un { $part } más juntos que antes
quality-tokens-more = el modelo lee un { $part } más de cada serie de { $scanner } que antes
quality-tokens-less = el modelo lee un { $part } menos de cada serie de { $scanner } que antes
quality-series = los estudios de { $scanner } tienen de media { $now } series utilizables en lugar de { $before }
quality-left-out = de media { $now } series o archivos de cada estudio de { $scanner } no se pueden usar en lugar de { $before }
quality-priority-more = el modelo considera los estudios de { $scanner } más urgentes que antes
quality-priority-less = el modelo considera los estudios de { $scanner } menos urgentes que antes
quality-age-more = los pacientes de { $scanner } le parecen al modelo mayores que antes
quality-age-less = los pacientes de { $scanner } le parecen al modelo más jóvenes que antes
quality-score-more = los estudios de { $scanner } puntúan más alto que antes en { $finding }: { $now } de media en lugar de { $before }
quality-score-less = los estudios de { $scanner } puntúan más bajo que antes en { $finding }: { $now } de media en lugar de { $before }
quality-no-result = el { $now } de los estudios de { $scanner } queda sin resultado en lugar del { $before }
quality-override = los lectores cambian el { $now } de los resultados de { $scanner } en lugar del { $before }
quality-psi = PSI { $psi }, más de { $limit }
quality-software = software { $new } en lugar de { $old }
quality-others = { $n ->
    [one] también { $n } cifra más
   *[other] también { $n } cifras más
}
quality-advise-input = Los resultados de sus estudios pueden ser erróneos: pida al radiólogo que lea los diez próximos sin la lista y avise al soporte.
quality-advise-scores = Los resultados de sus estudios pueden ser erróneos: pida al radiólogo que lea los diez próximos sin la lista y avise al responsable del modelo.
quality-advise-no-result = Lea estos estudios sin ayuda del modelo, mire los motivos en la lista de trabajo y avise al soporte.
quality-advise-override = Pregunte a los lectores qué cambian; si el modelo se equivoca, desactívelo en la página del sistema.
quality-other-version = Equipo { $scanner }: otra versión de este programa guardó esta alarma.
quality-opened = Abierta
quality-seen = vista por última vez
quality-found-out = ¿Qué ha averiguado?
quality-acknowledge = Tomo nota
quality-known = Atendida { $ago } por { $name }
quality-closed-passed = Pasó { $ago }.
quality-closed-normal = Se declaró normal { $ago }.
quality-closed-model = Otro modelo la reemplazó { $ago }.
quality-past = Alarmas pasadas
quality-scanners = Equipos
quality-no-scanners = El modelo en vigor aún no ha visto ningún estudio.
quality-looked = Última revisión:
quality-not-looked = Aún no revisado.
quality-learning = Aprende lo que es normal: { $have } de { $need } estudios.
quality-watched = Vigilado.
quality-chart-no-result = Estudios sin resultado
quality-chart-override = Resultados cambiados por los lectores
quality-chart-rate = { $reference } en la referencia; hasta { $usual } se tiene por habitual, { $noticed } debe notarse.
quality-chart-sum = Suma { $sum }, alarma en { $limit }.
quality-chart-promise = Una falsa alarma en { $studies } estudios de media; un cambio real se nota tras { $delay } de media.
quality-compared = Lo que se compara
quality-quantity = Magnitud
quality-before = Antes
quality-now = Ahora
quality-index = PSI
quality-chance = Azar
quality-mark = Marca
quality-drifted = DESVIADO
quality-how = Las razones son con las series del mismo tipo de antes: 1 es sin cambio. El PSI dice cuánto se apartan dos distribuciones; el azar es la probabilidad de tal diferencia sin cambio, corregida por el número de magnitudes.
quality-quantity-brightness = claridad (razón)
quality-quantity-contrast = contraste (razón)
quality-quantity-noise = ruido (razón)
quality-quantity-head = tamaño de la cabeza en la imagen (razón)
quality-quantity-slices = cortes de una serie (razón)
quality-quantity-distance = distancia de los cortes (razón)
quality-quantity-tokens = lo que el modelo lee de una serie (razón)
quality-quantity-series = series utilizables de un estudio
quality-quantity-left-out = series o archivos no utilizables
quality-quantity-priority = urgencia
quality-quantity-age = edad según las imágenes
quality-quantity-score = puntuación de { $finding }
quality-normal = Declarar una nueva normalidad
quality-normal-how = La referencia se hace de nuevo: con los estudios desde que empezó la alarma o, sin alarma, con los próximos. Las alarmas de este equipo se cierran. No se compara nada hasta que haya bastantes estudios.
quality-normal-set = Esto es normal ahora
quality-findings = Cuántas veces aciertan los hallazgos
quality-findings-how = Según el juicio de los lectores de aquí. Los grupos con menos de { $least } hallazgos juzgados no se muestran.
quality-share = { $agreed } de { $judged } correctos: VPP { $ppv } (intervalo del 95 % de { $low } a { $high })
quality-age = { $band } años
quality-low = MÁS BAJO
quality-few = { $n ->
    [one] { $n } hallazgo más se juzgó muy pocas veces.
   *[other] { $n } hallazgos más se juzgaron muy pocas veces.
}

## Usuarios e inicio de sesión

users-title = Usuarios
users-once = Se muestra solo esta vez y no se guarda en ninguna parte.
users-who = Quién puede entrar
users-kept-out = BLOQUEADO
users-no-password = aún no ha elegido contraseña
users-role-of = Función de { $name }
users-set-role = Fijar la función
users-set-role-of = de { $name }
users-reset = Nueva contraseña
users-reset-for = para { $name }
users-enable = Dejar entrar
users-disable = Bloquear
users-add-title = Añadir un usuario
users-name = Nombre
users-role = Función
users-add = Añadir
users-tech = ve estudios, da contexto clínico, envía resultados otra vez
users-reader = lo mismo, y decide sobre los estudios
users-service = ve la página del sistema y los modelos, y ningún paciente
users-admin = todo esto, y los usuarios
users-added = Se añadió a { $name }. La contraseña para la primera entrada es
users-was-reset = { $name } tiene todas sus sesiones cerradas. La contraseña para la próxima entrada es
users-role-now = { $name } tiene ahora la función { $role }.
users-disabled = { $name } ya no puede entrar.
users-enabled = { $name } puede entrar de nuevo.
tokens-title = Claves de programas
tokens-none = Ningún programa tiene una.
tokens-rights = con los derechos de { $name }
tokens-used = último uso
tokens-revoke = Anular
tokens-revoke-which = la clave de { $program } para { $name }
tokens-program = Programa
tokens-rights-of = con los derechos de
tokens-add = Crear una clave
tokens-added = { $program } actúa por { $name } con la clave
tokens-revoked = La clave de { $program } para { $name } queda anulada.
login-title = Iniciar sesión
login-name = Nombre
login-password = Contraseña
login-users = El administrador de este aparato crea los usuarios y las contraseñas nuevas.
login-lasts = Una sesión dura diez horas, o una hora sin una página abierta.
login-refused = Este nombre y esta contraseña no corresponden.
setup-page = Primer usuario
setup-title = El primer usuario de este aparato
setup-text = Nadie puede entrar aún. La persona que escriba aquí será su administrador y añadirá a los demás.
setup-code = Código, mostrado donde se puso en marcha el aparato
setup-name = Nombre, como debe constar junto a las decisiones
setup-password = Contraseña, al menos { $n } caracteres; unas palabras seguidas son fáciles de recordar
setup-button = Crear este usuario
account-title = Su cuenta
account-must-change = Elija una contraseña propia: la actual la creó el aparato y no abre nada más.
account-present = Contraseña actual
account-new = Nueva contraseña, al menos { $n } caracteres; unas palabras seguidas son fáciles de recordar
account-again = Nueva contraseña otra vez
account-change = Cambiar la contraseña
account-elsewhere = Al cambiarla se cierra su sesión en los demás sitios.

## Errores

title-400 = Petición incorrecta
title-401 = Inicie sesión
title-403 = No permitido
title-404 = No encontrado
title-405 = Uso no admitido
title-409 = Conflicto
title-410 = Borrado
title-421 = Nombre desconocido
title-422 = Ilegible
title-429 = Demasiados intentos
title-500 = Error interno
title-503 = No disponible
title-507 = Disco lleno
error-home = A la lista de trabajo
error-internal = algo falló dentro del aparato y no se cambió nada; inténtelo de nuevo y, si sigue así, llame al soporte y abra la página del sistema
error-disk-full = no se guardó nada porque el disco está lleno; vea la página del sistema
error-busy = el aparato tardó demasiado en responder; inténtelo de nuevo
error-no-page = no hay ninguna página { $page }
error-no-study = no hay ningún estudio { $study }
error-no-picture = el estudio { $study } no tiene esa imagen
error-no-series = el estudio { $study } no tiene la serie { $series }
error-no-slice = no hay corte { $slice }; la serie tiene { $count }, contados desde 1
error-no-volume = no hay volumen { $volume }; la serie tiene { $count }, contados desde 1
error-volume-places = esta serie no es un volumen: sus cortes no dicen dónde están, o difieren en tamaño o dirección
error-volume-one = esta serie no es un volumen: tiene un solo corte
error-volume-uneven = esta serie no es un volumen: un corte está a { $off } mm de su lugar en una pila regular
error-volume-large = esta serie es demasiado grande para un volumen: { $size } vóxeles, el máximo es { $most }
error-volume-colour = esta serie es en color, y los volúmenes se hacen de valores de gris
error-series-changed = la serie cambió desde que se cargó la página; cárguela de nuevo
error-evicted = las imágenes del estudio { $study } se borraron para hacer sitio; sus resultados se conservan
error-slice = este corte no se puede mostrar: { $why }
error-no-delivery = ningún envío { $delivery } fue abandonado; quizá ya se envió otra vez
error-no-result = el estudio { $study } no tiene un resultado { $result } que se pueda mostrar
error-method = esta dirección no se puede usar así
error-host = este aparato no se conoce como { $host }; ábralo por su dirección IP, o añada el nombre a `web.host_names` en su configuración
error-origin = esto no se envió desde una página de este aparato; abra la página de nuevo o, desde un programa, envíe la cabecera `Authorization: Bearer TOKEN`
error-log-in = inicie sesión primero; un programa envía la cabecera `Authorization: Bearer TOKEN` con una clave creada en la página de usuarios o con `appliance user token`
error-new-password = elija primero una contraseña propia, en la página /account
error-role = su función aquí es { $role }, que no permite { $right }; pregunte al administrador de este aparato
right-operate = cuidar del aparato
right-patients = ver pacientes
right-decide = decidir sobre estudios
right-models = elegir modelos
right-reference = declarar una nueva normalidad
right-users = cambiar usuarios
right-settings = conservar ajustes nuevos
error-wait = demasiados intentos erróneos; espere { $n ->
    [one] { $n } segundo
   *[other] { $n } segundos
} e inténtelo de nuevo
error-setup-code = este no es el código de este aparato; se mostró donde se arrancó `appliance serve`, y cada arranque sin usuarios crea uno nuevo
error-password-short = la contraseña tiene { $n } caracteres; hacen falta al menos { $least }, y unas palabras seguidas son fáciles de recordar
error-password-long = la contraseña tiene { $n } caracteres; el máximo es { $most }
error-password-name = la contraseña es el nombre; elija otra
error-password-other = la contraseña actual es otra
error-password-twice = la contraseña nueva se escribió de dos maneras
error-password-same = la contraseña nueva es la actual
error-user-name = { $name } no puede ser un nombre; dé de 1 a { $most } caracteres sin `:` ni caracteres de control
error-user-exists = ya hay un usuario { $name }
error-no-user = no hay ningún usuario { $name }
error-last-admin = { $name } es el único administrador; nombre primero a otro
error-not-first = este aparato ya tiene usuarios; pida a su administrador que le añada
error-token-exists = { $name } ya tiene una clave para { $program }; anúlela primero
error-no-token = { $name } no tiene clave para { $program }
error-no-role = no hay ninguna función { $role }; hay { $known }
error-no-action = no hay ninguna acción { $action }
error-no-queue = no hay ninguna cola { $queue }; hay { $known }
error-no-language = no hay ningún idioma { $language }; hay { $known }
error-number = el número de la dirección no es un número
error-too-long = el texto es demasiado largo; el máximo es 64 KiB
error-context-long = el contexto tiene { $n } caracteres; el máximo es { $most }
error-choose-acuity = elija una gravedad
error-no-decision-kind = no hay ninguna decisión { $kind }
error-no-decision = no hay ninguna decisión { $decision }
error-already-undone = la decisión { $decision } ya está deshecha
error-no-finding = el resultado mostrado del estudio { $study } no tiene el hallazgo { $finding }; cargue la página de nuevo
error-no-reason = dé un motivo en una o pocas palabras
error-reason-long = el motivo tiene { $n } caracteres; el máximo es { $most }
error-no-such-model = ningún modelo instalado se llama { $name } ni tiene una huella que empiece así; vea `appliance model list`
error-ambiguous-model = { $name } corresponde a { $count } modelos instalados; dé más cifras de la huella
error-killed = el modelo { $name } está desactivado; actívelo primero con `appliance model revive`
error-no-earlier = no hay un modelo anterior al que volver
error-no-trial = ningún ajuste nuevo espera ser conservado
error-trial-late = demasiado tarde: { $why }; rigen los ajustes anteriores
error-no-alarm = no hay ninguna alarma abierta { $alarm }
error-no-scanner = no hay ningún equipo { $scanner } cuyos estudios se vigilen

## Diagnósticos, por la etiqueta del modelo

diagnosis-cyst_arachnoid_cyst = quiste aracnoideo
diagnosis-cyst_colloid_cyst = quiste coloide
diagnosis-developmental_dandy_walker_malformation = malformación de Dandy-Walker
diagnosis-developmental_dysgenesis_corpus_callosum = disgenesia del cuerpo calloso
diagnosis-developmental_heterotopia = heterotopia
diagnosis-infectious_brain_abscess = absceso cerebral
diagnosis-infectious_viral_encephalitis = encefalitis viral
diagnosis-inflammatory_multiple_sclerosis = esclerosis múltiple
diagnosis-inflammatory_neurosarcoid = neurosarcoidosis
diagnosis-sellar_craniopharyngioma = craneofaringioma
diagnosis-sellar_pituitary_adenoma = adenoma hipofisario
diagnosis-sellar_rathkes_cleft_cyst = quiste de la bolsa de Rathke
diagnosis-spine_syrinx = siringomielia
diagnosis-structural_brain_herniation = herniación cerebral
diagnosis-structural_cephaloceles = cefaloceles
diagnosis-structural_cerebral_atrophy = atrofia cerebral
diagnosis-structural_chiari_malformation = malformación de Chiari
diagnosis-structural_edema = edema
diagnosis-structural_encephalomalacia = encefalomalacia
diagnosis-structural_mass_effect = efecto de masa
diagnosis-structural_midline_shift = desviación de la línea media
diagnosis-surgical_catheter = catéter
diagnosis-surgical_craniotomy = craneotomía
diagnosis-surgical_resection_cavity = cavidad de resección
diagnosis-trauma_brain_contusion = contusión cerebral
diagnosis-trauma_diffuse_axonal_injury = daño axonal difuso
diagnosis-trauma_subdural_hematoma = hematoma subdural
diagnosis-tumor_adult_brain_metastasis = metástasis cerebral
diagnosis-tumor_adult_glioma = glioma
diagnosis-tumor_adult_high_grade_glioma = glioma de alto grado
diagnosis-tumor_adult_low_grade_glioma = glioma de bajo grado
diagnosis-tumor_adult_lymphoma = linfoma
diagnosis-tumor_adult_meningioma = meningioma
diagnosis-tumor_adult_pineal_tumor = tumor pineal
diagnosis-tumor_adult_schwannoma = schwannoma
diagnosis-tumor_pediatric_brainstem_glioma = glioma del tronco encefálico (pediátrico)
diagnosis-tumor_pediatric_ependymoma = ependimoma (pediátrico)
diagnosis-tumor_pediatric_germ_cell_tumor = tumor germinal (pediátrico)
diagnosis-tumor_pediatric_medulloblastoma = meduloblastoma (pediátrico)
diagnosis-tumor_pediatric_pilocytic_astrocytoma = astrocitoma pilocítico (pediátrico)
diagnosis-vascular_hemorrhagic_intracranial_hemorrhage = hemorragia intracraneal
diagnosis-vascular_hemorrhagic_intraventricular_hemorrhage = hemorragia intraventricular
diagnosis-vascular_hemorrhagic_subarachnoid_hemorrahage = hemorragia subaracnoidea
diagnosis-vascular_ischemic_lacunar_stroke = ictus lacunar
diagnosis-vascular_ischemic_large_vessel_stroke = ictus de gran vaso
diagnosis-vascular_ischemic_moyamoya = moyamoya
diagnosis-vascular_ischemic_small_vessel_disease = enfermedad de pequeño vaso
diagnosis-vascular_malformation_arteriovenous_malformation = malformación arteriovenosa
diagnosis-vascular_malformation_cavernoma = cavernoma
diagnosis-vascular_malformation_cerebral_aneurysm = aneurisma cerebral
diagnosis-ventricular_intracranial_hypotension = hipotensión intracraneal
diagnosis-ventricular_ventriculomegaly = ventriculomegalia
