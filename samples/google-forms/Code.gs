/**
 * Posts every answer of this Google Form to a Hookgate instance, and keeps trying until Hookgate says it is stored.
 *
 * An answer is first written down as pending, then posted, and struck off once the gateway answered 200. What could not
 * be delivered stays pending and is tried again every ten minutes; the owner gets an e-mail. Posting twice does no harm:
 * the instance tells repeated answers by `responseId` (duplication_key in hookgate.toml).
 *
 * Settings (Project Settings > Script Properties):
 *   HOOKGATE_URL       https://hooks.example.com/instance/execute/google_forms
 *   HOOKGATE_USERNAME  the instance's username
 *   HOOKGATE_PASSWORD  the instance's password
 *   TYPE_QUESTION      optional: title of the question whose answer is the incident's type
 *   NAME_QUESTION      optional: title of the question whose answer is the incident's name
 *   ALERT_EMAIL        optional: who is told of failures (default: the account that ran `install`)
 *
 * Run `install` once. It tests the connection and sets up both triggers.
 */

/** Waits before the second and later attempts, in milliseconds. Together well under the six minutes a script may run. */
var RETRY_DELAYS_MS = [2000, 10000, 30000];

/** A Retry-After longer than this is left to the next run of `resendPending`. */
var LONGEST_WAIT_MS = 30000;

/** When `resendPending` stops taking up another answer, so that it ends before Google ends it. */
var RESEND_BUDGET_MS = 180000;

/** At most one e-mail in this time, whatever goes wrong: the daily quota is small, and so is patience. */
var ALERT_INTERVAL_MS = 3600000;

var PENDING_PREFIX = 'pending:';

/** Run by hand, once: checks the settings against the gateway, then installs the triggers (again). */
function install() {
  testConnection();
  ScriptApp.getProjectTriggers().forEach(function (trigger) {
    if (['onFormSubmit', 'resendPending'].indexOf(trigger.getHandlerFunction()) >= 0) {
      ScriptApp.deleteTrigger(trigger);
    }
  });
  ScriptApp.newTrigger('onFormSubmit').forForm(FormApp.getActiveForm()).onFormSubmit().create();
  ScriptApp.newTrigger('resendPending').timeBased().everyMinutes(10).create();
  Logger.log('Installed. Submit the form once to see the first incident.');
}

/** Run by hand: a GET with the credentials, which stores nothing. Throws with the gateway's own words if it is refused. */
function testConnection() {
  var reply = request('get');
  if (reply.status !== 200) {
    throw new Error('Hookgate did not let us in: ' + reply.status + ' ' + reply.text);
  }
  Logger.log('Connection works: ' + reply.text);
}

/** Run by hand: posts the latest answer again. Hookgate answers with `"duplicate": true` if it has it already. */
function sendLatest() {
  var responses = FormApp.getActiveForm().getResponses();
  if (responses.length === 0) {
    throw new Error('This form has no answers yet.');
  }
  deliver(responses[responses.length - 1]);
}

/** Called by the form's trigger. */
function onFormSubmit(event) {
  deliver(event.response);
}

/** Called every ten minutes, or by hand after a mistake was put right: tries everything that is still pending. */
function resendPending() {
  var form = FormApp.getActiveForm();
  var started = Date.now();
  pendingIds().every(function (id) {
    var response = findResponse(form, id);
    if (response === null) {
      Logger.log('Answer ' + id + ' was deleted from the form; nothing left to send.');
      settle(id);
      return true;
    }
    var status = deliver(response);
    // 400 and 413 are about this one answer; anything else but 200 would meet the next one too.
    return [200, 400, 413].indexOf(status) >= 0 && Date.now() - started < RESEND_BUDGET_MS;
  });
}

/** Posts one answer and returns the last status: 200 means the gateway has stored it, 0 that there was no reply. */
function deliver(response) {
  var id = response.getId();
  var properties = PropertiesService.getScriptProperties();
  properties.setProperty(PENDING_PREFIX + id, new Date().toISOString());
  var reply = postUntilSettled(JSON.stringify(incidentOf(response)));
  if (reply.status === 200) {
    settle(id);
    Logger.log('Stored: ' + reply.text);
  } else {
    alertOwner(id, reply);
  }
  return reply.status;
}

/** The body of the request: see "Body" in Hookgate's docs/http.md. */
function incidentOf(response) {
  var form = FormApp.getActiveForm();
  var answers = answersOf(response);
  var incident = {
    name: firstText(answers[setting('NAME_QUESTION')]) || 'Form answer: ' + form.getTitle(),
    occurred: response.getTimestamp().toISOString(),
    rawJson: {
      responseId: response.getId(),
      form: { id: form.getId(), title: form.getTitle() },
      respondent: response.getRespondentEmail() || null,
      answers: answers
    }
  };
  var type = firstText(answers[setting('TYPE_QUESTION')]);
  if (type) {
    incident.type = type;
  }
  return incident;
}

/** Question title -> answer: text, or a list for check boxes, grids and files. Equal titles get a number. */
function answersOf(response) {
  var answers = {};
  response.getItemResponses().forEach(function (itemResponse) {
    var title = itemResponse.getItem().getTitle() || 'question ' + itemResponse.getItem().getId();
    var key = title;
    for (var n = 2; Object.prototype.hasOwnProperty.call(answers, key); n++) {
      key = title + ' (' + n + ')';
    }
    answers[key] = itemResponse.getResponse();
  });
  return answers;
}

/** Text of an answer; the first choice where there are several. */
function firstText(answer) {
  var value = Array.isArray(answer) ? answer[0] : answer;
  return typeof value === 'string' ? value.trim() : '';
}

/** Tries again after network errors and answers that mean "later"; anything else is for a person to put right. */
function postUntilSettled(body) {
  var reply = request('post', body);
  for (var i = 0; i < RETRY_DELAYS_MS.length && isTemporary(reply.status); i++) {
    var wait = Math.max(RETRY_DELAYS_MS[i], reply.retryAfterMs);
    if (wait > LONGEST_WAIT_MS) {
      break;
    }
    Utilities.sleep(wait);
    reply = request('post', body);
  }
  return reply;
}

/** 0 stands for "no answer at all". */
function isTemporary(status) {
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

/** One request: {status, text, retryAfterMs}. Never throws for what the network or the gateway does. */
function request(method, body) {
  var url = required('HOOKGATE_URL');
  var login = required('HOOKGATE_USERNAME') + ':' + required('HOOKGATE_PASSWORD');
  var options = {
    method: method,
    headers: { Authorization: 'Basic ' + Utilities.base64Encode(login, Utilities.Charset.UTF_8) },
    muteHttpExceptions: true, // otherwise the answer's text, which says what is wrong, is lost in an exception
    followRedirects: false // the credentials are for this address alone
  };
  if (body !== undefined) {
    options.contentType = 'application/json'; // UrlFetchApp's default is a form, even for text
    options.payload = body;
  }
  try {
    var answer = UrlFetchApp.fetch(url, options);
    return {
      status: answer.getResponseCode(),
      text: answer.getContentText().slice(0, 500),
      retryAfterMs: retryAfterMs(answer.getHeaders())
    };
  } catch (error) {
    return { status: 0, text: String(error), retryAfterMs: 0 };
  }
}

/** Retry-After in milliseconds, 0 if there is none. Google keeps the header's name as the server spelled it. */
function retryAfterMs(headers) {
  var name = Object.keys(headers).filter(function (key) {
    return key.toLowerCase() === 'retry-after';
  })[0];
  return name ? 1000 * (parseInt(headers[name], 10) || 0) : 0;
}

/** Logs every failure, and writes to the owner about the first one in an hour. */
function alertOwner(id, reply) {
  var text = 'Answer ' + id + ' was not stored: ' + (reply.status || 'no answer') + ' ' + reply.text;
  Logger.log(text);
  var properties = PropertiesService.getScriptProperties();
  if (Date.now() - Number(properties.getProperty('LAST_ALERT') || 0) < ALERT_INTERVAL_MS) {
    return;
  }
  properties.setProperty('LAST_ALERT', String(Date.now()));
  var form = FormApp.getActiveForm();
  MailApp.sendEmail({
    to: setting('ALERT_EMAIL') || Session.getEffectiveUser().getEmail(),
    subject: 'Hookgate did not store an answer of "' + form.getTitle() + '"',
    body: [
      text,
      '',
      pendingIds().length + ' answer(s) are waiting. They are tried again every ten minutes and are not lost.',
      isTemporary(reply.status)
        ? 'The gateway could not be reached or asked to be tried later.'
        : 'The gateway refused the request: check the Script Properties, then run resendPending.',
      form.getEditUrl()
    ].join('\n')
  });
}

function settle(id) {
  PropertiesService.getScriptProperties().deleteProperty(PENDING_PREFIX + id);
}

/** Ids of the answers that are not stored yet, oldest first. */
function pendingIds() {
  var all = PropertiesService.getScriptProperties().getProperties();
  var keys = Object.keys(all).filter(function (key) {
    return key.indexOf(PENDING_PREFIX) === 0;
  });
  keys.sort(function (a, b) {
    return all[a] < all[b] ? -1 : 1;
  });
  return keys.map(function (key) {
    return key.slice(PENDING_PREFIX.length);
  });
}

function findResponse(form, id) {
  try {
    return form.getResponse(id);
  } catch (error) {
    return null;
  }
}

function setting(name) {
  return PropertiesService.getScriptProperties().getProperty(name) || '';
}

function required(name) {
  var value = setting(name);
  if (!value) {
    throw new Error('Script Property ' + name + ' is missing (Project Settings > Script Properties).');
  }
  return value;
}
