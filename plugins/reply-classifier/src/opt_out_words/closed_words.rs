//! The words that may stand beside a request of `closed`, folded, separated by spaces. A sentence with any other asks for
//! something else: `remove the third line`, `no PDF`, `not before Monday`.

/// The writer, or what of him is kept.
pub(crate) const WHO: u8 = 1;
/// What somebody is to be removed from.
pub(crate) const LIST: u8 = 1 << 1;
/// That something is removed from it, rather than itself.
pub(crate) const FROM: u8 = 1 << 2;
/// Mail, or to get or to send it.
pub(crate) const MAIL: u8 = 1 << 3;
/// It denies the verb before it, as in Korean.
pub(crate) const NEGATES: u8 = 1 << 4;

/// In scripts with spaces between words.
pub(crate) const WORDS: &[(u8, &str)] = &[
    (
        0,
        "olkaa hyva ja ole kiitos enaa teille meille pyydan voisitteko voisitko ystavallisesti heti hei ei kiinnosta \
         kiinnostunut emme yhteytta lisaa enempaa muita prosze bardzo dziekuje dzien dobry o i wiecej juz sie do \
         panstwa waszej waszych swojej swoich nie jestem jestesmy zainteresowany zainteresowana zainteresowani \
         kontaktowac od tych takich mi prosim vas vasi vaseho vasich uz nam dekuji dekujeme den a dalsi nic nemam \
         nemame zajem zadne zadam svych taky okamzite ihned vasho vasej dakujem nechcem zaujem kerem kerjuk es tobb \
         tobbet nekem nekunk koszonom le abba onoktol soha ne nem erdekel jo napot azonnal molim sa vise hvala vase \
         vasu zanima dobar dan odmah svoje svoj ve zelim пожалуиста прошу просьба больше никогда мне нам и вашеи ваш \
         вашу вашего ваши ваше с спасибо не интересует надо хочу здравствуите добрыи день вы это эту эти своеи \
         немедленно таких этих будь ласка дякую більше ніколи мені від вашої ваші вас та і цікавить просимо добрии \
         моля ви повече ми си благодаря се интересувам изпращате пишете вашия lutfen bana bize bir daha artik sizden \
         tesekkurler tesekkur ederim ilgilenmiyorum ilgilenmiyoruz merhaba hemen fazla ile benimle almak istiyorum \
         edin ediniz etmek derhal παρακαλω απο τη την τισ σασ ευχαριστω αλλα αλλο πλεον δεν ενδιαφερομαι να το τα \
         εσασ και ξανα μαζι يرجى الرجاء فضلك رجاء لي شكرا مرة أخرى المزيد لست مهتما هذه قائمة فضلكم أرجو נא בבקשה לי \
         יותר תודה אני את מכם שלכם שלך של לא מעוניין מעוניינת עוד נוספים ממך אנחנו vui long xin hay cho toi nua ban \
         cua khoi lam on cam mohon tolong anda terima kasih ke lagi palun oma mulle enam rohkem prasau daugiau man ir \
         jusu gauti istrinti ludzu لطفا خود کنید till mer mere inte intresserad ikke interesseret interessert tack \
         tak takk er ert era jeres deres dere venligst vennligst snalla hej alstublieft alsjeblieft uw niet meer te \
         sturen geen graag dank u en och og por favor sua de nao tenho interesse obrigado obrigada seu va rog sunt \
         interesat nu multumesc voastra ati please thanks thank you hi hello hallo igen des nepreji neprejeme \
         neprajem si zycze sobie kivanok szeretnek vill jag jeg tychto teh بعد الآن gui thu osobowych أريد أود dalsie \
         minulle я inceta imi alamat vec voastre kez bundan sonra boyle bu tur fler flere ocksa vanligen viac nikdy \
         jsem som mar εγω αυτη αυτα נוספות אף פעם dopisow mit ihrem ihren ihre weitere weiteren weiterer werbung \
         zusendung zusendungen kontaktaufnahme kontakt nachrichten werbemails werbe jegliche jede kunftig zukunftig \
         ein ab zu das versenden per anfragen jetzt endlich crap junk unsolicited commercial marketing promotional \
         messages communication communications correspondence contact newsletters further more any future this \
         address right away everything votre vos fichier fichiers donnees personnelles la mes mis sus datos \
         personales dalla vostro dati personali personal information systems system records now at once vostra listes \
         bases contenant contacts courriels sollicitations przetwarzaniu przetwarzania celach marketingowych marketingu bezposredniego w wobec",
    ),
    (
        WHO,
        "mna mnie nas mne az minket engem меня нас мене ме μου με mig meg minut minun osoitteeni tietoni \
         yhteystietoni sahkopostini sahkopostiosoitteeni meidat moje moj mojego moich adres adresu dane danych me ma \
         muj moji udaje udajov udaju moju adataimat cimem cimemet cimunket podatke мои мою данные адрес почту мої міи \
         дані адресу данните имеила beni bizi verilerimi bilgilerimi adresimi στοιχεια δεδομενα بياناتي بريدي عنواني \
         أני אותי אותנו הפרטים שלי saya mind mani mano adresa مرا oss mina uppgifter mine oplysninger opplysningene \
         min data mij mijn ons gegevens adress adresse meus dados meu contato datele mele",
    ),
    (
        LIST,
        "списъка базата قائمتكم القائمة listy bazy mailingu mailingowej seznamu databaze odberu zoznamu databazy \
         liste baze popisa primatelja списка рассылки базы подписки розсилки списку бази підписки aboneligimi λιστασ \
         βαση البريدية قاعدة بياناتكم بيانات התפוצה הדיוור הנתונים daftar danh sach لیست ایمیل listan lista postlista \
         databas databasen postlisten listen mailliste mailingliste database mailinglijst lijst bestand registret \
         registeret base baza date postlisteliste",
    ),
    (FROM, "z ze zo da s iz от из зі з із من dari no از fran fra ur van uit din from"),
    (
        LIST | FROM,
        "listalta postituslistalta listaltanne postituslistaltanne tietokannastanne rekisteristanne rekisterista \
         tietokannasta listarol listajukrol levelezolistajukrol levelezolistarol adatbazisbol adatbazisukbol \
         hirlevelrol listenizden listeden abonelikten veritabaninizdan λιστα מרשימת מהרשימה ממאגר listist saraksta",
    ),
    (
        MAIL,
        "kirjoittako lahettako lahettaminen lahettamista pisania pisac wysylac wysylania posilat psat posielat pisat \
         kapni kuldeset kuldeni vasih slati pisati присылать писать слать отправлять надсилати писати слати да \
         пращате στελνετε kirjutage viesteja sahkoposteja viestien sahkopostien mainoksia tarjouksia sahkopostia \
         saada vastaanottaa teilta maili maile wiadomosci ofert mailem maily emaily nabidky zpravy dostavat ponuky \
         spravy newsletter newsletteru reklamy reklam korespondencji otrzymywac otrzymywania dostawac leveleket \
         levelet levelek mailt emailt hirdetest reklamot mailove poruke emailove primati dobivati prejemati sporocil \
         письма письмо писем сообщения сообщении рассылок спам рекламу рекламы предложения предложении получать листи \
         листів листа повідомлень отримувати писма имеили получавам съобщения posta eposta mesaj mails email emails \
         μηνυματα λαμβανω διαφημισεισ رسائل الرسائل رسائلكم رسالة إيميلات מיילים הודעות מייל pdfless laisku mejl \
         maila mejla beskeder meldinger poster spam vel hirlevelet hirlevel trimiteti mailuri mesaje scrieti poste \
         newslettery mailov mailu listow newslettere post",
    ),
    (LIST | MAIL, "newslettera subskrypcji рассылку розсилку e mail"),
];

/// In scripts without.
pub(crate) const PIECES: &[(u8, &str)] = &[
    (
        0,
        "を の は に も が で て 今後 もう これ以上 このような この ください 下さい お願いします お願い いたします 致します 願います してください して 御社 貴社 一切 直ちに 至急 すぐに です ます \
         します 結構です 結構 興味がありません 興味はありません ありません どうか ご してほしい 登録 停止 削除 配信 から外 いただけますか ようお願いします 止めて やめて 外してください 除いて \
         関心がありません 请 請 把 将 將 你们 你們 的 您 贵公司 貴公司 中 里 了 吧 啦 谢谢 謝謝 再 任何 给我 給我 立即 马上 不感兴趣 没兴趣 没有兴趣 我们 这些 以后 以後 给 发 發 我对此 对此 \
         也 发送 送 联系 不需要 这个 此类 類 任何的 发了 出 더 이상 을 를 은 는 의 주세요 주십시오 부탁드립니다 부탁합니다 부탁드려요 부탁해요 바랍니다 주시기 해 합니다 해주세요 하겠습니다 관심 \
         없습니다 그만 다시는 앞으로 귀사 으로 좀 세요 말고는 드립니다 해주십시오 주시길 しております 致しております ので をご遠慮 の送信 ご遠慮ください ご遠慮 願えますか 頂けますか しており おり 営業",
    ),
    (
        WHO,
        "我的 私 私の 個人情報 アドレス メールアドレス 我 邮箱 郵箱 邮箱地址 地址 数据 信息 个人信息 제 저를 저 주소 정보 개인정보",
    ),
    (
        LIST,
        "リスト メーリングリスト 名簿 データベース 配信リスト 列表 名单 名單 邮件列表 郵件列表 数据库 목록 명단 리스트 메일링 데이터베이스",
    ),
    (FROM, "から 从 從 에서 에서는"),
    (
        MAIL,
        "写信 メール 広告 広告メール 営業メール 連絡 ご連絡 邮件 郵件 电子邮件 广告 消息 推销 垃圾 메일 이메일 광고 연락 메시지 送信 案内",
    ),
    (NEGATES, "마세요 말아 말아주세요 마십시오 마 말"),
];
