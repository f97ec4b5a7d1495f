-- What a destination wrote when it refused, apart from our words: it may quote the patient, and
-- whoever looks after the box may see no patients.
ALTER TABLE delivery ADD COLUMN said TEXT NOT NULL DEFAULT '';
UPDATE delivery
    SET said = substr(last_error, instr(last_error, ' (') + 2,
                      length(last_error) - instr(last_error, ' (') - 2),
        last_error = substr(last_error, 1, instr(last_error, ' (') - 1)
    WHERE last_error LIKE 'it answered that the message is in error (%)'
       OR last_error LIKE 'it rejected the message (%)'
       OR last_error LIKE 'it refused the object with status ____H (%)';
UPDATE event SET text = substr(text, 1, instr(text, ' (') - 1)
    WHERE area = 'send' AND (text LIKE '%: it answered that the message is in error (%)'
                          OR text LIKE '%: it rejected the message (%)'
                          OR text LIKE '%: it refused the object with status ____H (%)');
